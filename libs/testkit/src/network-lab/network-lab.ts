import { DfError } from '@d7y/piece';
import { requirePrograms } from '../process/programs.ts';
import { run } from '../process/run.ts';

/** A machine of a network lab: a network namespace with one interface, and loopback of its own. */
export interface LabHost {
  /** Name of the namespace, for `ip netns exec`. */
  readonly netns: string;
  /** The host's IPv4 address in the lab. */
  readonly ip: string;
}

export interface NetworkLab extends AsyncDisposable {
  readonly hosts: readonly LabHost[];
  /** Limits what a host sends and what it receives, each; undefined lifts the limit. */
  setRate(host: LabHost, mbitPerSec: number | undefined): Promise<void>;
  /** What has passed the host's interface since the lab was started. */
  traffic(host: LabHost): Promise<{ readonly sentBytes: number; readonly receivedBytes: number }>;
}

export interface NetworkLabOptions {
  readonly hosts: number;
  /** Of every host, each direction; unlimited unless given. */
  readonly mbitPerSec?: number;
}

/** Namespaces can be made by root alone. */
export class NotRootError extends DfError {
  override readonly name = 'NotRootError';
  readonly code = 'NOT_ROOT';
  readonly retryable = false;
  constructor(what: string) {
    super(`${what} needs root`);
  }
}

/** Labs of this process; with its id they name the namespaces. */
let labs = 0;

/**
 * Starts a small network: hosts on one switch, each behind a link of its own rate, with no way to the outside. Disposal removes it;
 * programs within are to be ended before.
 * @throws {NotRootError}
 */
export async function startNetworkLab({ hosts: count, mbitPerSec }: NetworkLabOptions): Promise<NetworkLab> {
  if (process.getuid?.() !== 0) throw new NotRootError('a network lab');
  if (!Number.isInteger(count) || count < 1 || count > 200) throw new RangeError(`a lab of ${count} hosts`);
  requirePrograms(['ip', 'tc']);
  await using stack = new AsyncDisposableStack();
  const name = `d7y${process.pid}-${labs++}`;
  const ip = (...args: string[]) => run('ip', args);
  const add = async (netns: string): Promise<void> => {
    await ip('netns', 'add', netns);
    stack.defer(() => ip('netns', 'del', netns).then(() => undefined));
  };
  const bridge = `${name}-switch`;
  await add(bridge);
  await ip('-n', bridge, 'link', 'add', 'switch', 'type', 'bridge');
  await ip('-n', bridge, 'link', 'set', 'switch', 'up');
  const setRate = async ({ netns }: LabHost, rate: number | undefined): Promise<void> => {
    const port = `port${netns.slice(name.length + 1)}`;
    for (const [at, device] of [[netns, 'eth0'] as const, [bridge, port] as const]) await shape(at, device, rate);
  };

  const hosts: LabHost[] = [];
  for (let index = 0; index < count; index++) {
    const host: LabHost = { netns: `${name}-${index}`, ip: `10.88.0.${10 + index}` };
    const { netns } = host;
    await add(netns);
    await ip('link', 'add', 'eth0', 'netns', netns, 'type', 'veth', 'peer', 'name', `port${index}`, 'netns', bridge);
    await ip('-n', bridge, 'link', 'set', `port${index}`, 'master', 'switch', 'up');
    await ip('-n', netns, 'addr', 'add', `${host.ip}/24`, 'dev', 'eth0');
    for (const device of ['lo', 'eth0']) await ip('-n', netns, 'link', 'set', device, 'up');
    if (mbitPerSec !== undefined) await setRate(host, mbitPerSec);
    hosts.push(host);
  }
  const resources = stack.move();
  const traffic = async ({ netns }: LabHost) => {
    const { stdout } = await ip('-n', netns, '-s', '-j', 'link', 'show', 'dev', 'eth0');
    const [link] = JSON.parse(stdout) as { stats64: { rx: { bytes: number }; tx: { bytes: number } } }[];
    return { sentBytes: link?.stats64.tx.bytes ?? 0, receivedBytes: link?.stats64.rx.bytes ?? 0 };
  };
  return { hosts, setRate, traffic, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** A token bucket that holds a few packets, before a queue of 40 ms. */
async function shape(netns: string, device: string, mbitPerSec: number | undefined): Promise<void> {
  const bucket = ['tbf', 'rate', `${mbitPerSec}mbit`, 'burst', '128kb', 'latency', '40ms'];
  if (mbitPerSec !== undefined) await run('tc', ['-n', netns, 'qdisc', 'replace', 'dev', device, 'root', ...bucket]);
  // Without a limit there is nothing to take away.
  else await run('tc', ['-n', netns, 'qdisc', 'del', 'dev', device, 'root']).catch(() => undefined);
}

/** A command line that runs a program on a host of a lab; on this machine as it is when there is none. */
export function onHost(host: Pick<LabHost, 'netns'> | undefined, program: string, args: readonly string[]): string[] {
  // Not `ip netns exec`: that one mounts a fresh /sys and hides the cgroups.
  return host === undefined ? [program, ...args] : ['nsenter', `--net=/run/netns/${host.netns}`, program, ...args];
}
