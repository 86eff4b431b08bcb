import { Command, InvalidArgumentError, Option } from 'commander';
import { type BenchOptions, type Measurement, progressTo, toJsonLine, toText } from './measurement.ts';
import { benchCold } from './cold.ts';
import { benchFanIn } from './fan-in.ts';
import { benchMemory } from './memory.ts';
import { benchPeer } from './peer.ts';
import { benchProxy, benchProxy64 } from './proxy.ts';
import { benchScheduler } from './scheduler.ts';
import { benchSmall } from './small.ts';

const BENCHES: Readonly<Record<string, (options: BenchOptions) => Promise<readonly Measurement[]>>> = {
  peer: benchPeer,
  proxy: benchProxy,
  proxy64: benchProxy64,
  cold: benchCold,
  small: benchSmall,
  fanin: benchFanIn,
  memory: benchMemory,
  scheduler: benchScheduler,
};

const atLeast = (least: number) => (text: string) => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new InvalidArgumentError(`Not a whole number of at least ${least}.`);
  return value;
};

interface Flags {
  readonly json?: true;
  readonly runs: number;
  readonly sizeMib: number;
  readonly blobs: number;
  readonly rounds: number;
  readonly hosts: number;
}

await new Command('bench')
  .argument('<name...>', `what to measure: ${Object.keys(BENCHES).join(', ')}`)
  .option('--json', 'one JSON object per measurement on standard output')
  .addOption(new Option('--runs <n>', 'pairs that count').default(7).argParser(atLeast(5)))
  .addOption(new Option('--size-mib <n>', 'bytes of each transfer').default(1024).argParser(atLeast(1)))
  .addOption(new Option('--blobs <n>', 'blobs at once, of memory').default(64).argParser(atLeast(1)))
  .addOption(new Option('--rounds <n>', 'of memory').default(5).argParser(atLeast(1)))
  .addOption(new Option('--hosts <n>', 'daemons, of scheduler').default(10_000).argParser(atLeast(1)))
  .action(async (names: string[], { json, runs, sizeMib, blobs, rounds, hosts }: Flags, command: Command) => {
    const benches = names.map((name) => BENCHES[name] ?? command.error(`error: there is no benchmark "${name}"`));
    for (const bench of benches) {
      const progress = progressTo((line) => console.error(line));
      const options = { runs, sizeBytes: sizeMib * 2 ** 20, blobCount: blobs, rounds, hosts, progress };
      for (const measurement of await bench(options)) {
        console.error(toText(measurement));
        if (json) console.log(toJsonLine(measurement));
      }
    }
  })
  .parseAsync();
