import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { pseudoRandomBytes } from '@d7y/testkit';

/** Something that dies by kill -9 and comes back with what is on its disk. */
export interface Killable {
  readonly name: string;
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** Names the variable that repeats the kills of an earlier run; each run prints its own value. */
const SEED_VARIABLE = 'D7Y_KILL_SEED';
/** Longest life between two kills of a kind, and longest death. */
const MAX_LIFE_MS = 3_000;
const MAX_DEATH_MS = 1_000;

/** Numbers from 0 to 1 that are the same for the same name. Prints what to set so that they are the same in another run. */
export function killSeed(): (name: string) => () => number {
  const seed = process.env[SEED_VARIABLE] ?? String(randomInt(2 ** 32));
  process.stdout.write(`kills at random: repeat them with ${SEED_VARIABLE}=${seed}\n`);
  return (name) => {
    let drawn = 0;
    return () => pseudoRandomBytes(`${seed} ${name} ${drawn++}`, 4).readUInt32LE() / 2 ** 32;
  };
}

/**
 * Kills one or some of a kind, `times` times, each at a random moment, and starts them again; returns when the last is back.
 * @param signal ends it before the next kill
 * @param onKill hears of each, for the record of a failure
 */
export async function killNowAndThen(
  kind: readonly Killable[],
  times: number,
  random: () => number,
  { signal, onKill }: { readonly signal: AbortSignal; readonly onKill: (names: readonly string[]) => void },
): Promise<void> {
  for (let time = 0; time < times; time++) {
    await delay(random() * MAX_LIFE_MS);
    if (signal.aborted) return;
    // At least one: all of them together as often as each one alone.
    const choice = 1 + Math.floor(random() * (2 ** kind.length - 1));
    const victims = kind.filter((_one, index) => (choice & (1 << index)) !== 0);
    const deathMs = random() * MAX_DEATH_MS;
    onKill(victims.map(({ name }) => name));
    await Promise.all(victims.map((victim) => victim.kill()));
    await delay(deathMs);
    await Promise.all(victims.map((victim) => victim.start()));
  }
}
