import { DEFAULT_FILTERED_QUERY_PARAMS } from '@d7y/piece';
import type { Directories } from '@d7y/service-kit';
import { byteRate, byteSize, duration, httpUrl, ipAddress, managerAddress, port, secretString } from '@d7y/service-kit';
import { z } from 'zod';

const MIB = 2 ** 20;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** A section whose keys all have defaults: present or not, it is there. */
const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape) => z.object(shape).prefault({} as never);

/** Files by which one side proves who it is, and knows the other: all three, or none for no TLS. */
const tlsFiles = {
  caCert: z.string().min(1).optional(),
  cert: z.string().min(1).optional(),
  key: z.string().min(1).optional(),
};

/** Bytes per second; undefined, or 0, for no limit. */
const rateLimit = () =>
  byteRate()
    .transform((bytesPerSec) => (bytesPerSec > 0 ? bytesPerSec : undefined))
    .optional();

/** Daemons of this protocol wait for minutes or hours where a pull here has somebody else to ask. */
const atMostAMinute = (ms: number): number => Math.min(ms, MINUTE);

/** `80` and `0.8` both mean 80 percent. */
const percent = () =>
  z
    .number({ error: 'expected a percentage such as 80, or a fraction such as 0.8' })
    .gt(0, { error: 'expected more than 0' })
    .lt(100, { error: 'expected less than 100' })
    .transform((value) => (value <= 1 ? value * 100 : value));

const regex = () =>
  z.string().transform((text, issues) => {
    try {
      return new RegExp(text);
    } catch (error) {
      issues.addIssue({ code: 'custom', message: `expected a regular expression: ${(error as Error).message}` });
      return z.NEVER;
    }
  });

/** `host:port`; IPv6 in brackets. */
const hostPort = () =>
  z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):\d{1,5}$/, { error: 'expected host:port such as 10.0.0.1:8002' });

const rule = z
  .object({
    regex: regex().optional(),
    regx: regex().optional(),
    useTLS: z.boolean().optional(),
    useHTTPS: z.boolean().optional(),
    direct: z.boolean().default(false),
    redirect: z.string().min(1).optional(),
    filteredQueryParams: z.array(z.string()).default([...DEFAULT_FILTERED_QUERY_PARAMS]),
  })
  .transform(({ regex, regx, useTLS, useHTTPS, ...rest }) => ({
    ...rest,
    regex: regex ?? regx ?? /.*/,
    useTls: useTLS ?? useHTTPS ?? false,
    redirect: rest.redirect,
  }));

const registry = z.object({
  /** Names host and scheme at once. */
  url: httpUrl().optional(),
  host: z.string().min(1).optional(),
  /** File with PEM certificates trusted for this host beside the system's. */
  cert: z.string().min(1).optional(),
  insecure: z.boolean().default(false),
  username: z.string().optional(),
  password: secretString().optional(),
});

/** Every key that has an effect here, with its default. */
export function dfdaemonSchema(directories: Directories) {
  const server = (defaultPort: number) => section({ ip: ipAddress().optional(), port: port().default(defaultPort) });
  return z.object({
    /** Lines at debug level. */
    verbose: z.boolean().default(false),
    /** Log lines for people instead of JSON. */
    console: z.boolean().default(false),
    host: section({
      idc: z.string().min(1).optional(),
      location: z.string().min(1).optional(),
      hostname: z.string().min(1).optional(),
      ip: ipAddress().optional(),
      schedulerClusterID: z.number().int().nonnegative().optional(),
    }),
    download: section({
      server: section({
        socketPath: z.string().min(1).default(`${directories.runtime}/dfdaemon.sock`),
        /** Who may ask this daemon to write files: owner and group. Stock daemons let everybody (0777). */
        socketMode: z
          .union([z.number().int(), z.string().regex(/^0?[0-7]{3}$/)], {
            error: 'expected an octal mode such as "0660"',
          })
          .transform((mode) => (typeof mode === 'number' ? mode : Number.parseInt(mode, 8)))
          .default(0o660),
      }),
      /** Directories below which files are written for programs that do not write them themselves. */
      outputRoots: z.array(z.string().startsWith('/', { error: 'expected an absolute path' })).default([]),
      protocol: z.literal('tcp', { error: 'expected tcp: pieces over QUIC are not available' }).default('tcp'),
      concurrentPieceCount: z.number().int().min(1).max(64).default(8),
      /** Bytes per second of everything that is fetched; no limit by default. */
      bandwidthLimit: rateLimit(),
      /** Of what is fetched from origins, beside bandwidthLimit. */
      backToSourceBandwidthLimit: rateLimit(),
      /** Of what is fetched from any one daemon, beside bandwidthLimit. */
      perPeerRateLimit: rateLimit(),
      /** Piece length of content that local callers ask for by a URL without a digest; it becomes part of the task's id. By the length of the content by default. */
      pieceSize: byteSize()
        .refine((bytes) => bytes >= 4 * MIB && bytes <= 64 * MIB, { error: 'expected 4MiB to 64MiB' })
        .optional(),
      /** Longest wait for a parent to begin with a piece; a late piece is asked of others long before. At most a minute counts. */
      pieceTimeout: duration()
        .default(10 * SECOND)
        .transform(atMostAMinute),
      /** Longest time in which the parents at hand neither announce nor bring anything. At most a minute counts. */
      collectedPieceTimeout: duration()
        .default(10 * SECOND)
        .transform(atMostAMinute),
      /** How long content of a URL without a digest is used before its origin is asked whether it is still the same. */
      revalidateInterval: duration().default(MINUTE),
      /**
       * Pieces that are fetched from an origin before other daemons, where any wait for them, have got those that are here and nowhere else. A
       * reader of this daemon is never held up by it.
       */
      originLookAhead: z.number().int().min(1).max(100_000).default(16),
      /** Send authorization, cookies and the like along with registrations, for stock seeds that fetch private content. Whoever runs schedulers and seeds can read them. */
      forwardCredentials: z.boolean().default(false),
    }),
    upload: section({
      server: section({
        ip: ipAddress().optional(),
        port: port().default(4000),
        ...tlsFiles,
      }),
      client: section(tlsFiles),
      /** Serve nothing to other daemons. */
      disableShared: z.boolean().default(false),
      /** Pieces that begin to be sent at once: few, so that each is soon whole at somebody who passes it on. */
      concurrentPieceCount: z.number().int().min(1).max(64).default(4),
      /**
       * Where several daemons of ours fetch from here, a place among the uploads is offered to one that receives nothing, which then names a piece. Without
       * turns they ask for pieces and wait in line, as stock daemons do in any case.
       */
      turns: z.boolean().default(true),
      /** Bytes per second; announced to schedulers as this host's limit where its network card has more. */
      bandwidthLimit: byteRate().default(50_000_000_000),
    }),
    scheduler: section({
      /** Longest wait for a scheduler's answer. At most a minute counts: the download goes on without it. */
      scheduleTimeout: duration()
        .default(15 * SECOND)
        .transform(atMostAMinute),
      /** Answers that one download takes from one scheduler. */
      maxScheduleCount: z.number().int().min(1).max(100).default(5),
      announceInterval: duration().default(5 * MINUTE),
      /** Static schedulers; with a DNS name every address behind it is one. */
      addrs: z.array(hostPort()).default([]),
      addr: hostPort().optional(),
      netAddrs: z.array(z.object({ type: z.literal('tcp').default('tcp'), addr: hostPort() })).default([]),
      ...tlsFiles,
    }),
    /** Says where schedulers are, and what is blocked; without one the configuration and the local file do. */
    manager: section({
      enable: z.boolean().optional(),
      addr: managerAddress().optional(),
      netAddrs: z.array(z.object({ type: z.literal('tcp').default('tcp'), addr: managerAddress() })).default([]),
      ...tlsFiles,
    }),
    seedPeer: section({
      enable: z.boolean().default(false),
      type: z.enum(['normal', 'super']).default('super'),
      /** Cluster of seed peers under which a manager knows this one. */
      clusterID: z.int().positive().default(1),
    }),
    dynconfig: section({
      /** How often schedulers are looked up and checked. */
      refreshInterval: duration().default(60 * SECOND),
      /** File that lists schedulers where the configuration does not. */
      path: z.string().min(1).default(`${directories.config}/dynconfig.yaml`),
    }),
    storage: section({
      dir: z.string().min(1).default(directories.storage),
      /** Keep content across restarts. */
      keep: z.boolean().default(true),
      /** Tasks that have come to so many bytes shrink to the low watermark's share of them; 0: no such limit. */
      diskGCThreshold: byteSize().default(0),
      server: section({
        ip: ipAddress().optional(),
        /** Pieces, without TLS. Shut where `upload.server` has certificates. */
        tcpPort: port().default(4005),
        /** Pieces over TLS, where `upload.server` has certificates. */
        tlsPort: port().default(4007),
      }),
    }),
    backend: section({
      /** Tries after the first, for what may pass. */
      maxRetries: z.number().int().min(0).max(20).default(3),
    }),
    gc: section({
      interval: duration().default(15 * MINUTE),
      policy: section({
        taskTTL: duration().default(720 * HOUR),
        /** Bytes that all tasks may take at most, and from which the watermarks count; 0: the file system's size. */
        diskThreshold: byteSize().default(0),
        diskHighThresholdPercent: percent().default(80),
        diskLowThresholdPercent: percent().default(60),
      }),
    }),
    proxy: section({
      /** On loopback unless configured: whoever reaches the proxy can use it. */
      server: section({
        ip: ipAddress().default('127.0.0.1'),
        port: port().default(4001),
        /** Further addresses to serve on. */
        listen: z.array(z.object({ ip: ipAddress().default('127.0.0.1'), port: port() })).default([]),
        /** Requests a second; more are answered 429. */
        requestRateLimit: z.number().int().min(1).default(4000),
        /**
         * Hosts whose CONNECT is read here instead of passed through: patterns such as ghcr.io or *.docker.io. Without it, and with caCert: those
         * that a rule could match; without both: none.
         */
        intercept: z.array(z.string().min(1)).optional(),
        /** PEM files of the authority that signs for intercepted hosts; without them one is made in the storage directory. */
        caCert: z.string().min(1).optional(),
        caKey: z.string().min(1).optional(),
        /** Asked of every client of the proxy. */
        basicAuth: z
          .object({
            username: z
              .string()
              .min(1)
              .regex(/^[^:]*$/, { error: 'expected a name without a colon' }),
            password: secretString(),
          })
          .optional(),
      }),
      /** Which upstreams requests may name; patterns such as ghcr.io, *.docker.io, registry.local:5000. */
      upstreams: section({
        /** Empty: all. */
        allow: z.array(z.string().min(1)).default([]),
        /** Wins over allow; never connected to, also when a redirect leads there. */
        deny: z.array(z.string().min(1)).default([]),
        /** Refuse private networks and this machine. */
        refusePrivate: z.boolean().default(false),
      }),
      /** What clients get of a blob before all of it has matched its digest: verified pieces only, or everything. */
      release: z.enum(['verified', 'streaming']).default('verified'),
      /** Fetch the whole of what a range is asked of. */
      prefetch: z.boolean().default(false),
      /** Bytes per second of what is fetched ahead of all wishes; no limit by default. */
      prefetchBandwidthLimit: rateLimit(),
      rules: z.array(rule).default(() => [rule.parse({ regex: 'blobs/sha256.*' })]),
      registryMirror: section({
        addr: httpUrl().default('https://index.docker.io'),
        /** File with PEM certificates trusted for that registry beside the system's. */
        cert: z.string().min(1).optional(),
        /** Do not verify the certificate of that registry. */
        insecure: z.boolean().default(false),
        /** Honour X-Dragonfly-Registry and `ns`. */
        dynamic: z.boolean().default(true),
        enableTaskIDBasedBlobDigest: z.boolean().default(false),
      }),
      registries: z.array(registry).default([]),
      /** What callers of private content prove: nothing (public), that the registry accepts them (probe), the same and pieces over TLS (strict). */
      access: z.enum(['public', 'probe', 'strict']).default('probe'),
      /** How long what a registry said of access holds: while it answers, and while it is down. */
      accessTTL: section({
        public: duration().default(5 * MINUTE),
        publicWhenDown: duration().default(720 * HOUR),
        accepted: duration().default(5 * MINUTE),
        acceptedWhenDown: duration().default(24 * HOUR),
      }),
      manifests: section({
        /** Answer for manifests and tags. */
        enable: z.boolean().default(true),
        /** How long a registry is not asked again what a tag means. */
        tagTTL: duration().default(30 * SECOND),
        /** How long its last answer is believed while it is down. */
        staleTTL: duration().default(720 * HOUR),
      }),
      disableBackToSource: z.boolean().default(false),
      headerTimeout: duration().default(30 * SECOND),
      idleTimeout: duration().default(5 * MINUTE),
      drainTimeout: duration().default(10 * SECOND),
    }),
    network: section({ enableIPv6: z.boolean().default(false) }),
    health: section({ server: server(4003) }),
    metrics: section({ enable: z.boolean().default(true), server: server(4002) }),
    tracing: section({
      protocol: z.enum(['grpc', 'http', 'https']).optional(),
      endpoint: z.string().min(1).optional(),
      path: z.string().startsWith('/').default('/v1/traces'),
      headers: z.record(z.string(), secretString()).default({}),
      sampleRatio: z.number().min(0).max(1).default(1),
    }),
    /** Most memory for pieces in flight. */
    memory: section({ bufferBytes: byteSize().default(32 * MIB) }),
  });
}

/** A checked configuration. Times are in milliseconds, sizes in bytes. */
export type DfdaemonConfig = z.output<ReturnType<typeof dfdaemonSchema>>;
