import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';

/** A machine as it announces itself. Figures that are unknown stay out of the message. */
export interface HostDescription {
  readonly id: string;
  readonly isSeed: boolean;
  readonly hostname: string;
  /** IP literal at which others reach it. */
  readonly ip: string;
  /** Upload gRPC. */
  readonly port: number;
  /** Where persistent tasks are asked for; the upload gRPC too in every daemon of today. */
  readonly downloadPort: number;
  readonly proxyPort?: number | undefined;
  /** For people: `namespace-pod`, or the host name. */
  readonly name?: string | undefined;
  readonly os?: string | undefined;
  readonly platform?: string | undefined;
  readonly platformFamily?: string | undefined;
  readonly platformVersion?: string | undefined;
  readonly kernelVersion?: string | undefined;
  readonly idc?: string | undefined;
  readonly location?: string | undefined;
  readonly schedulerClusterId?: number | undefined;
  /** Gives nothing to others. */
  readonly disableShared?: boolean | undefined;
  readonly version?: string | undefined;
  readonly load?: HostLoad | undefined;
}

/** What a machine is busy with at this moment. */
export interface HostLoad {
  readonly cpu?: {
    readonly logicalCount: number;
    readonly physicalCount: number;
    readonly percent: number;
    readonly processPercent: number;
  };
  /** Bytes and percent. */
  readonly memory?: {
    readonly total: number;
    readonly available: number;
    readonly used: number;
    readonly free: number;
    readonly usedPercent: number;
    readonly processUsedPercent: number;
  };
  /** Bits per second; the maxima as configured or as the link has them. */
  readonly network?: {
    readonly maxRxBandwidth: number;
    readonly rxBandwidth: number;
    readonly maxTxBandwidth: number;
    readonly txBandwidth: number;
    readonly uploadConnectionCount?: number;
  };
  /** Bytes and percent; bandwidths in bytes per second. */
  readonly disk?: {
    readonly total: number;
    readonly free: number;
    readonly used: number;
    readonly usedPercent: number;
    readonly readBandwidth?: number;
    readonly writeBandwidth?: number;
  };
}

/** A host as common.v2.Host: what AnnounceHost sends, and what stock schedulers accept. */
export function toHostMessage(host: HostDescription): common.Host {
  const { cpu, memory, disk } = host.load ?? {};
  return create(common.HostSchema, {
    id: host.id,
    type: host.isSeed ? 1 : 0,
    hostname: host.hostname,
    ip: host.ip,
    port: host.port,
    downloadPort: host.downloadPort,
    proxyPort: host.proxyPort ?? 0,
    name: host.name ?? host.hostname,
    os: host.os ?? '',
    platform: host.platform ?? '',
    platformFamily: host.platformFamily ?? '',
    platformVersion: host.platformVersion ?? '',
    kernelVersion: host.kernelVersion ?? '',
    schedulerClusterId: BigInt(host.schedulerClusterId ?? 0),
    disableShared: host.disableShared ?? false,
    network: toNetwork(host),
    ...(host.version === undefined ? {} : { build: { gitVersion: host.version } }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(memory === undefined
      ? {}
      : {
          memory: {
            ...memory,
            total: toUint64(memory.total),
            available: toUint64(memory.available),
            used: toUint64(memory.used),
            free: toUint64(memory.free),
          },
        }),
    ...(disk === undefined
      ? {}
      : {
          disk: {
            usedPercent: disk.usedPercent,
            total: toUint64(disk.total),
            free: toUint64(disk.free),
            used: toUint64(disk.used),
            readBandwidth: toUint64(disk.readBandwidth ?? 0),
            writeBandwidth: toUint64(disk.writeBandwidth ?? 0),
          },
        }),
  });
}

/** A host of which only the network figures are told, as SyncHost does about once a second. */
export function toHostLoadMessage(network: NonNullable<HostLoad['network']>): common.Host {
  return create(common.HostSchema, { network: toNetwork({ load: { network } }) });
}

function toNetwork({ idc, location, load }: Pick<HostDescription, 'idc' | 'location' | 'load'>): common.Network {
  const figures = load?.network;
  return create(common.NetworkSchema, {
    ...(idc ? { idc } : {}),
    ...(location ? { location } : {}),
    ...(figures === undefined
      ? {}
      : {
          maxRxBandwidth: toUint64(figures.maxRxBandwidth),
          rxBandwidth: toUint64(figures.rxBandwidth),
          maxTxBandwidth: toUint64(figures.maxTxBandwidth),
          txBandwidth: toUint64(figures.txBandwidth),
          uploadTcpConnectionCount: figures.uploadConnectionCount ?? 0,
        }),
  });
}

function toUint64(value: number): bigint {
  return BigInt(Math.max(0, Math.round(value)));
}
