import { readFile, statfs } from 'node:fs/promises';
import { cpus, freemem, platform, release, totalmem } from 'node:os';
import type { common } from '@d7y/api';
import { toHostLoadMessage, toHostMessage } from '@d7y/peer-protocol';
import type { DfdaemonConfig } from '../config/schema.ts';
import type { Identity } from './identity.ts';
import type { NetworkMeter } from './network-meter.ts';

/** Ports under which this host is announced; they are known once the listeners are up. */
export interface AnnouncedPorts {
  readonly upload: number;
  readonly proxy: number;
}

export interface HostFactsOptions {
  readonly identity: Identity;
  readonly config: DfdaemonConfig;
  readonly network: NetworkMeter;
  readonly version: string;
}

interface CpuTimes {
  readonly busyMs: number;
  readonly totalMs: number;
  readonly processMs: number;
  readonly atMs: number;
}

/** What schedulers are told of this host. Shares of the processor are since the last time it was described. */
export class HostFacts {
  readonly #options: HostFactsOptions;
  #times = cpuTimes();

  constructor(options: HostFactsOptions) {
    this.#options = options;
  }

  /** The whole host, for an announcement. */
  async describe(ports: AnnouncedPorts): Promise<common.Host> {
    const { identity, config, version } = this.#options;
    const { idc, location, schedulerClusterID } = config.host;
    const [system, network, disk] = await Promise.all([readOsRelease(), this.#network(), this.#disk()]);
    return toHostMessage({
      id: identity.hostId,
      isSeed: identity.isSeed && config.seedPeer.type === 'super',
      hostname: identity.hostname,
      name: identity.name,
      ip: identity.ip,
      port: ports.upload,
      downloadPort: ports.upload,
      proxyPort: ports.proxy,
      os: platform(),
      platform: system.id,
      platformFamily: system.family,
      platformVersion: system.version,
      kernelVersion: release(),
      idc,
      location,
      schedulerClusterId: schedulerClusterID,
      disableShared: config.upload.disableShared,
      version,
      load: { cpu: this.#cpu(), memory: memory(), network, ...(disk === undefined ? {} : { disk }) },
    });
  }

  /** Only what changes from second to second, for children that choose among parents. */
  async describeLoad(): Promise<common.Host> {
    return toHostLoadMessage(await this.#network());
  }

  async #network() {
    const { config, network } = this.#options;
    const { maxRx, maxTx, rx, tx } = await network.rates();
    return {
      maxRxBandwidth: maxRx,
      rxBandwidth: rx,
      maxTxBandwidth: Math.min(maxTx, config.upload.bandwidthLimit * 8),
      txBandwidth: tx,
    };
  }

  #cpu() {
    const now = cpuTimes();
    const before = this.#times;
    this.#times = now;
    const totalMs = now.totalMs - before.totalMs;
    const logicalCount = Math.max(1, cpus().length);
    return {
      logicalCount,
      physicalCount: logicalCount,
      percent: totalMs > 0 ? ((now.busyMs - before.busyMs) / totalMs) * 100 : 0,
      processPercent:
        now.atMs > before.atMs ? ((now.processMs - before.processMs) / (now.atMs - before.atMs)) * 100 : 0,
    };
  }

  async #disk() {
    try {
      const { bsize, blocks, bavail, bfree } = await statfs(this.#options.config.storage.dir);
      const used = (blocks - bfree) * bsize;
      const total = blocks * bsize;
      return { total, free: bavail * bsize, used, usedPercent: total > 0 ? (used / total) * 100 : 0 };
    } catch {
      return undefined; // not every file system tells, and the rest is worth announcing without it
    }
  }
}

function memory() {
  const total = totalmem();
  const free = freemem();
  return {
    total,
    available: free,
    free,
    used: total - free,
    usedPercent: ((total - free) / total) * 100,
    processUsedPercent: (process.memoryUsage.rss() / total) * 100,
  };
}

function cpuTimes(): CpuTimes {
  let busyMs = 0;
  let totalMs = 0;
  for (const { times } of cpus()) {
    const all = times.user + times.nice + times.sys + times.irq + times.idle;
    totalMs += all;
    busyMs += all - times.idle;
  }
  const { user, system } = process.cpuUsage();
  return { busyMs, totalMs, processMs: (user + system) / 1000, atMs: performance.now() };
}

async function readOsRelease(): Promise<{ id: string; family: string; version: string }> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const value = (name: string): string => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  const id = value('ID') || platform();
  return { id, family: value('ID_LIKE') || id, version: value('VERSION_ID') };
}
