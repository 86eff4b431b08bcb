import { writeFile } from 'node:fs/promises';
import type { Outcome, PolicyName, ScenarioName, Settings, SettingsInput } from '@d7y/swarm-simulator';
import {
  completionPlot,
  figuresOf,
  normalTimesMs,
  MAX_PARENTS,
  MAX_ZONES,
  SCENARIOS,
  settingsOf,
  simulate,
} from '@d7y/swarm-simulator';
import { Command, InvalidArgumentError, Option } from 'commander';

const within =
  (least: number, most: number, isWhole = true) =>
  (text: string) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= least && value <= most) || (isWhole && !Number.isInteger(value)))
      throw new InvalidArgumentError(`Not a ${isWhole ? 'whole ' : ''}number from ${least} to ${most}.`);
    return value;
  };

function share(text: string): number {
  const value = /^\d+(\.\d+)?%$/.test(text) ? Number(text.slice(0, -1)) / 100 : NaN;
  if (!(value <= 1)) throw new InvalidArgumentError('Not a part in per cent, as in "1%".');
  return value;
}

interface Flags {
  readonly peers?: number;
  readonly pieces?: number;
  readonly policy?: PolicyName;
  readonly seed?: number;
  readonly zones?: number;
  readonly seedDelayMs?: number;
  readonly startWithinMs?: number;
  readonly deaths?: number;
  readonly uploads?: 'turns' | 'queue';
  readonly uploadSlots?: number;
  readonly parents?: number;
  readonly concurrency?: number;
  readonly maxPerParent?: number;
  readonly maxPerPartialParent?: number;
  readonly hotPieces?: boolean;
  readonly sample?: number;
  readonly collectMs?: number;
  readonly order?: 'announced' | 'random';
  readonly json?: true;
  readonly plot?: string;
}

/** These are told what became of the normal peers beside a burst with the same numbers. */
const DISTURBED: ReadonlySet<ScenarioName> = new Set(['seed-death', 'scheduler-restart', 'slow', 'leeches']);

function run(settings: Settings): { outcome: Outcome; cpuSeconds: number } {
  const before = process.cpuUsage();
  const outcome = simulate(settings, { cpuMs: () => performance.now() });
  const { user, system } = process.cpuUsage(before);
  return { outcome, cpuSeconds: (user + system) / 1e6 };
}

const given = (options: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/** What was given and is not for daemons. */
function settingsFrom(scenario: ScenarioName, flags: Flags): Settings {
  const {
    uploads,
    uploadSlots,
    parents,
    concurrency,
    maxPerParent,
    maxPerPartialParent,
    hotPieces,
    sample,
    collectMs,
    order,
    json: _json,
    plot: _plot,
    deaths,
    ...rest
  } = flags;
  const daemon = {
    uploads,
    uploadSlots,
    parents,
    concurrency,
    maxPerParent,
    maxPerPartialParent,
    hotPieces,
  };
  return settingsOf(scenario, {
    ...rest,
    ...(deaths === undefined ? {} : { deathShare: deaths }),
    daemon: given(daemon),
    stock: given({ parents, concurrency, sample, collectMs, order }),
  } satisfies SettingsInput);
}

await new Command('sim')
  .argument('<scenario>', `what happens: ${Object.keys(SCENARIOS).join(', ')}`)
  .addOption(new Option('--peers <n>', 'hosts that want the content').argParser(within(1, 1_000_000)))
  .addOption(new Option('--pieces <n>', 'of each task').argParser(within(1, 65_535)))
  .addOption(
    new Option('--policy <name>', 'of the scheduler, with the daemons that go with it').choices(['mesh', 'upstream']),
  )
  .addOption(new Option('--seed <n>', 'of all chance').argParser(within(0, 2 ** 32 - 1)))
  .addOption(new Option('--zones <n>', 'far from each other').argParser(within(1, MAX_ZONES)))
  .addOption(new Option('--seed-delay-ms <n>', "until the seed's first request").argParser(within(0, 600_000, false)))
  .addOption(
    new Option('--start-within-ms <n>', 'peers start evenly spread over this time').argParser(
      within(0, 600_000, false),
    ),
  )
  .addOption(new Option('--deaths <share>', 'part of the peers that die on their way, as in 1%').argParser(share))
  .addOption(new Option('--uploads <how>', 'how a parent comes to send a piece').choices(['turns', 'queue']))
  .addOption(new Option('--upload-slots <n>', 'pieces a host sends at once, with a queue').argParser(within(1, 64)))
  .addOption(new Option('--parents <n>', 'of a download').argParser(within(1, MAX_PARENTS)))
  .addOption(
    new Option('--concurrency <n>', 'pieces asked for at once, with a queue or by a stock daemon').argParser(
      within(1, 64),
    ),
  )
  .addOption(new Option('--max-per-parent <n>', 'of these, from one parent').argParser(within(1, 64)))
  .addOption(
    new Option('--max-per-partial-parent <n>', 'of these, from one parent that has a part').argParser(within(1, 64)),
  )
  .addOption(new Option('--sample <n>', 'peers drawn to find parents, upstream').argParser(within(1, 1_000_000)))
  .addOption(
    new Option('--collect-ms <n>', 'until a stock daemon takes up what not all parents have').argParser(
      within(0, 60_000, false),
    ),
  )
  .addOption(
    new Option('--order <which>', 'of the pieces that a stock daemon has taken up').choices(['announced', 'random']),
  )
  .option('--no-hot-pieces', "without the scheduler's word for which pieces are rare")
  .option('--json', 'one JSON object per figure on standard output')
  .option('--plot <file>', 'a picture of both policies, in SVG')
  .action(async (name: string, flags: Flags, command: Command) => {
    if (!Object.hasOwn(SCENARIOS, name)) command.error(`error: there is no scenario "${name}"`);
    const scenario = name as ScenarioName;
    const settings = settingsFrom(scenario, flags);
    const { outcome, cpuSeconds } = run(settings);
    const undisturbed = DISTURBED.has(scenario) ? run(settingsFrom('burst', flags)).outcome : undefined;
    const comparison = undisturbed && { undisturbedMs: normalTimesMs(undisturbed).at(-1) ?? NaN };
    for (const figure of figuresOf(settings, outcome, cpuSeconds, comparison)) {
      const { value, unit, must, aim, pass } = figure;
      const limits = [must === undefined ? '' : `must ${String(must)}`, aim === undefined ? '' : `aim ${aim}`].filter(
        Boolean,
      );
      const verdict = pass === undefined ? '' : pass ? ': pass' : ': FAIL';
      console.error(
        `${figure.name.padEnd(20)} ${value} ${unit}${limits.length > 0 ? ` (${limits.join(', ')}${verdict})` : ''}`,
      );
      if (flags.json)
        console.log(
          JSON.stringify({
            ...figure,
            scenario,
            policy: settings.policy,
            uploads: settings.policy === 'mesh' ? settings.daemon.uploads : 'stock',
            peers: settings.peers,
            pieces: settings.pieces,
            seed: settings.seed,
          }),
        );
    }
    if (flags.plot === undefined) return;
    const other = run({ ...settings, policy: settings.policy === 'mesh' ? 'upstream' : 'mesh' }).outcome;
    const [mesh, upstream] = settings.policy === 'mesh' ? [outcome, other] : [other, outcome];
    const lines = [
      { label: 'mesh', colour: '#0b6e4f', timesMs: normalTimesMs(mesh) },
      { label: 'upstream', colour: '#b3261e', timesMs: normalTimesMs(upstream) },
    ];
    const title = `${scenario}: ${settings.peers} peers, ${settings.pieces} pieces of ${settings.pieceBytes / 2 ** 20} MiB`;
    await writeFile(flags.plot, completionPlot(title, outcome.optimumMs, lines));
  })
  .parseAsync();
