import { Command, InvalidArgumentError, Option } from 'commander';
import {
  type BenchOptions,
  type Measurement,
  PROTOCOLS,
  type Protocol,
  progressTo,
  toJsonLine,
  toText,
} from './measurement.ts';
import { benchCold } from './cold.ts';
import { benchFanIn } from './fan-in.ts';
import { benchManager, benchManagerLists } from './manager.ts';
import { benchMemory } from './memory.ts';
import { benchPeer } from './peer.ts';
import { benchPreheat } from './preheat.ts';
import { benchProxy, benchProxy64 } from './proxy.ts';
import { benchScheduler, benchSchedulerCrowd, benchSchedulerWarm } from './scheduler.ts';
import { benchSmall } from './small.ts';
import { benchSwarm } from './swarm.ts';

const BENCHES: Readonly<Record<string, (options: BenchOptions) => Promise<readonly Measurement[]>>> = {
  peer: benchPeer,
  proxy: benchProxy,
  proxy64: benchProxy64,
  cold: benchCold,
  small: benchSmall,
  fanin: benchFanIn,
  memory: benchMemory,
  scheduler: benchScheduler,
  schedulerCrowd: benchSchedulerCrowd,
  schedulerWarm: benchSchedulerWarm,
  swarm: benchSwarm,
  manager: benchManager,
  managerLists: benchManagerLists,
  preheat: benchPreheat,
};

const atLeast = (least: number) => (text: string) => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new InvalidArgumentError(`Not a whole number of at least ${least}.`);
  return value;
};

/** As tc and the like write it. */
const quantity = (unit: RegExp, what: string, scale: number) => (text: string) => {
  const value = Number(text.replace(unit, ''));
  if (!unit.test(text) || !(value > 0)) throw new InvalidArgumentError(`Not ${what}.`);
  return value * scale;
};

interface Flags {
  readonly json?: true;
  readonly runs: number;
  readonly sizeMib: number;
  readonly blobs: number;
  readonly rounds: number;
  readonly hosts?: number;
  readonly protocol?: Protocol;
  readonly rate?: number;
  readonly size?: number;
  readonly killScheduler?: true;
  readonly queue?: true;
}

await new Command('bench')
  .argument('<name...>', `what to measure: ${Object.keys(BENCHES).join(', ')}`)
  .option('--json', 'one JSON object per measurement on standard output')
  .addOption(new Option('--runs <n>', 'pairs that count').default(7).argParser(atLeast(5)))
  .addOption(new Option('--size-mib <n>', 'bytes of each transfer').default(1024).argParser(atLeast(1)))
  .addOption(new Option('--blobs <n>', 'blobs at once, of memory').default(64).argParser(atLeast(1)))
  .addOption(new Option('--rounds <n>', 'of memory').default(5).argParser(atLeast(1)))
  .addOption(
    new Option(
      '--hosts <n>',
      'daemons, of scheduler (10000), schedulerWarm (1000), swarm and preheat (8), manager and managerLists (100000)',
    ).argParser(atLeast(1)),
  )
  .addOption(new Option('--protocol <name>', 'of scheduler and schedulerCrowd; both by default').choices(PROTOCOLS))
  .addOption(
    new Option('--rate <rate>', 'of each link: of swarm 200mbit, of preheat 50mbit unless given').argParser(
      quantity(/mbit$/, 'a rate such as 200mbit', 1),
    ),
  )
  .addOption(
    new Option('--size <size>', 'of the blob, of swarm (100MiB), or of all layers, of preheat (512MiB)').argParser(
      quantity(/MiB$/, 'a size such as 100MiB', 2 ** 20),
    ),
  )
  .option('--queue', 'of swarm and preheat: requests for pieces wait in line, without turns')
  .option('--kill-scheduler', 'of swarm: the scheduler dies in the middle of a pull, and comes back')
  .action(async (names: string[], flags: Flags, command: Command) => {
    const {
      json,
      runs,
      sizeMib,
      blobs,
      rounds,
      hosts,
      protocol,
      rate,
      size,
      killScheduler = false,
      queue = false,
    } = flags;
    const benches = names.map((name) => BENCHES[name] ?? command.error(`error: there is no benchmark "${name}"`));
    for (const bench of benches) {
      const progress = progressTo((line) => console.error(line));
      const options = { runs, sizeBytes: sizeMib * 2 ** 20, blobCount: blobs, rounds, hosts, protocol, progress };
      const lab = { mbitPerSec: rate, blobBytes: size, killScheduler, turns: !queue };
      for (const measurement of await bench({ ...options, lab })) {
        console.error(toText(measurement));
        if (json) console.log(toJsonLine(measurement));
      }
    }
  })
  .parseAsync();
