/** What happens to the swarm on its way. */
export type ScenarioName =
  | 'burst'
  | 'assembled'
  | 'rolling'
  | 'warm'
  | 'seed-death'
  | 'scheduler-restart'
  | 'slow'
  | 'leeches'
  | 'zones'
  | 'ranges'
  | 'layers';

export type PolicyName = 'mesh' | 'upstream';

/** How a daemon of ours behaves. */
export interface DaemonRules {
  /**
   * How a parent comes to send a piece. `turns`: as daemons of ours do among themselves, it offers its turn to a child that receives nothing,
   * which then chooses a piece. `queue`: children ask for pieces, and what is asked waits until a slot is free.
   */
  readonly uploads: 'turns' | 'queue';
  /** With a queue: pieces a download asks for at the same time. */
  readonly concurrency: number;
  /** With a queue: of these, from one parent that has everything, and from one that has a part. */
  readonly maxPerParent: number;
  readonly maxPerPartialParent: number;
  /** With a queue: pieces a host sends at the same time. */
  readonly uploadSlots: number;
  /** Parents of a download. */
  readonly parents: number;
  /** Of a download: pieces taken at random before the rarest come first. */
  readonly randomPieces: number;
  /** Whether it takes the scheduler's word for which pieces are rare. */
  readonly hotPieces: boolean;
  /** Pieces that a seed, or who else is at the origin, fetches ahead of what it has sent. */
  readonly originLookAhead: number;
  /** Pieces are told to the scheduler in batches of this time, in ms. */
  readonly reportIntervalMs: number;
}

/** How a stock daemon behaves, and what its scheduler gives it; as published, unless something is to be found out. */
export interface StockRules {
  /** Pieces a download asks for at the same time. */
  readonly concurrency: number;
  /** A piece is taken up once all parents have it, or so many ms after the first one has. */
  readonly collectMs: number;
  /** Of what was taken up: the first, or any. */
  readonly order: 'announced' | 'random';
  /** Parents of a download, and peers that the scheduler draws to find them. */
  readonly parents: number;
  readonly sample: number;
}

export interface Settings {
  readonly scenario: ScenarioName;
  readonly policy: PolicyName;
  readonly seed: number;
  /** Hosts that want the content. */
  readonly peers: number;
  /** Of each task. */
  readonly pieces: number;
  readonly pieceBytes: number;
  /** Tasks that every peer wants at the same time. */
  readonly tasks: number;
  readonly zones: number;
  /** Up and down, of every host, in bits per second. */
  readonly rateBitsPerSec: number;
  readonly originBitsPerSec: number;
  /** One way, in ms. */
  readonly latencyMs: number;
  readonly zoneLatencyMs: number;
  /** Peers start evenly spread over this time, in ms. */
  readonly startWithinMs: number;
  /** From the scheduler's word to the seed's first request, in ms. */
  readonly seedDelayMs: number;
  /** Hosts that fetch on a scheduler's word. */
  readonly seeds: number;
  /** Part of the peers that hold everything before the start. */
  readonly warmShare: number;
  /** Part of the peers whose uplink has a tenth of the rate. */
  readonly slowShare: number;
  /** Part of the peers that give nothing. */
  readonly leechShare: number;
  /** Part of the peers that die, each at some moment of the first T* after the last start; figures are those of the others. */
  readonly deathShare: number;
  /** Part of the content that a peer wants; the parts begin anywhere. */
  readonly rangeShare: number;
  /** Seed 0 dies at this part of the bound; never, when undefined. */
  readonly seedDeathAt: number | undefined;
  /** The scheduler loses its memory at this part of the bound; never, when undefined. */
  readonly schedulerRestartAt: number | undefined;
  /** How long a restarting scheduler is away, in ms. */
  readonly schedulerDownMs: number;
  readonly daemon: DaemonRules;
  readonly stock: StockRules;
}

export const DEFAULT_DAEMON_RULES: DaemonRules = {
  uploads: 'turns',
  concurrency: 8,
  maxPerParent: 4,
  maxPerPartialParent: 1,
  uploadSlots: 4,
  parents: 16,
  randomPieces: 4,
  hotPieces: true,
  originLookAhead: 8,
  reportIntervalMs: 150,
};

export const DEFAULT_STOCK_RULES: StockRules = {
  concurrency: 8,
  collectMs: 100,
  order: 'announced',
  parents: 3,
  sample: 15,
};

const DEFAULTS: Settings = {
  scenario: 'burst',
  policy: 'mesh',
  seed: 1,
  peers: 1000,
  pieces: 100,
  pieceBytes: 4 * 2 ** 20,
  tasks: 1,
  zones: 1,
  rateBitsPerSec: 1e9,
  originBitsPerSec: 1e9,
  latencyMs: 0.5,
  zoneLatencyMs: 5,
  startWithinMs: 50,
  seedDelayMs: 0,
  seeds: 1,
  warmShare: 0,
  slowShare: 0,
  leechShare: 0,
  deathShare: 0,
  rangeShare: 1,
  seedDeathAt: undefined,
  schedulerRestartAt: undefined,
  schedulerDownMs: 1000,
  daemon: DEFAULT_DAEMON_RULES,
  stock: DEFAULT_STOCK_RULES,
};

/** Parents that a simulated download has room for. */
export const MAX_PARENTS = 16;
/** Zones that can be told apart. */
export const MAX_ZONES = 256;

/** By what each scenario differs from a burst. */
export const SCENARIOS: Readonly<
  Record<ScenarioName, { readonly about: string; readonly settings: Partial<Settings> }>
> = {
  burst: { about: 'everybody starts at once, nobody has anything', settings: {} },
  assembled: {
    about: 'everybody has parents before the seed gets its first byte, from when on the clock runs',
    settings: { startWithinMs: 100_000, seedDelayMs: 101_000 },
  },
  rolling: { about: 'peers start one after the other over 10 s', settings: { startWithinMs: 10_000 } },
  warm: { about: 'a fifth of the peers holds everything', settings: { warmShare: 0.2 } },
  'seed-death': { about: 'the seed dies half-way', settings: { seedDeathAt: 0.5 } },
  'scheduler-restart': {
    about: 'the scheduler loses its memory half-way and is away for a second',
    settings: { schedulerRestartAt: 0.5 },
  },
  slow: { about: 'a twentieth of the peers sends at a tenth of the rate', settings: { slowShare: 0.05 } },
  leeches: { about: 'a fifth of the peers gives nothing', settings: { leechShare: 0.2 } },
  zones: { about: 'zones that are far from each other', settings: { zones: 10 } },
  ranges: { about: 'every peer wants a quarter, beginning anywhere', settings: { rangeShare: 0.25 } },
  layers: { about: 'thirty tasks at once', settings: { tasks: 30, peers: 300 } },
};

export type SettingsInput = Partial<Omit<Settings, 'daemon' | 'stock' | 'scenario'>> & {
  readonly daemon?: Partial<DaemonRules>;
  readonly stock?: Partial<StockRules>;
};

/** The settings of a scenario, with what is given in place of its own. */
export function settingsOf(scenario: ScenarioName, given: SettingsInput = {}): Settings {
  const { daemon, stock, ...rest } = given;
  const { settings } = SCENARIOS[scenario];
  const rules = { daemon: { ...DEFAULT_DAEMON_RULES, ...daemon }, stock: { ...DEFAULT_STOCK_RULES, ...stock } };
  return { ...DEFAULTS, ...settings, ...rest, scenario, ...rules };
}

/**
 * The least time in which the content can reach everybody, in ms: one more piece than Mundinger, Weber and Weiss (2008) count, since
 * the origin serves only the seed. T* = (1 + (1 + floor(log2 N)) / M) · B / u, with what one peer wants as B and M.
 */
export function optimumMs(settings: Settings): number {
  const { peers, pieces, pieceBytes, tasks, rateBitsPerSec, rangeShare } = settings;
  const pieceMs = (pieceBytes * 8 * 1000) / rateBitsPerSec;
  return (pieces * tasks * rangeShare + 1 + Math.floor(Math.log2(peers))) * pieceMs;
}
