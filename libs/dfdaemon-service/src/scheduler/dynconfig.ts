import { readFile } from 'node:fs/promises';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { ConfigError, readConfig } from '@d7y/service-kit';
import { z } from 'zod';
import type { DfdaemonConfig } from '../config/schema.ts';

/** The local file of daemons without a manager. Block lists may stand in it; they have no effect here. */
const fileSchema = z.object({
  scheduler: z.object({ addr: z.string().optional(), addrs: z.array(z.string()).default([]) }).prefault({}),
});

const BLOCK_LISTS = ['clientConfig', 'seedClientConfig', 'seedPeers'];
/** Schedulers keep their limits in a file of the same name, perhaps the same file. */
const OF_SCHEDULERS = [
  'applications',
  'schedulerClusterConfig',
  'schedulerClusterClientConfig',
  'seedPeerClusterConfig',
];

type ReadText = (path: string) => Promise<string>;

/** Resolves a host name; IPv4 first. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

const resolveByDns: Resolve = async (hostname) => {
  const found = await lookup(hostname, { all: true });
  const ipv4 = found.filter(({ family }) => family === 4);
  return (ipv4.length > 0 ? ipv4 : found).map(({ address }) => address);
};

/**
 * Where schedulers are: `scheduler.addrs`, else `scheduler.netAddrs`, else `scheduler.addr`, else what the local file says in its
 * `scheduler.addrs` or `scheduler.addr`. Names stand for every address behind them.
 * @returns `ip:port`, each once, sorted, so that all daemons have the same ring; empty where none is configured
 * @throws when the file is unusable or no name resolves
 */
export async function schedulerAddresses(
  config: Pick<DfdaemonConfig, 'scheduler' | 'dynconfig'>,
  {
    resolve = resolveByDns,
    read = (path: string) => readFile(path, 'utf8'),
  }: { resolve?: Resolve; read?: ReadText } = {},
): Promise<readonly string[]> {
  const { addrs, netAddrs, addr } = config.scheduler;
  const configured =
    addrs.length > 0 ? addrs : netAddrs.length > 0 ? netAddrs.map((one) => one.addr) : addr === undefined ? [] : [addr];
  const wanted = configured.length > 0 ? configured : await fromFile(config.dynconfig.path, read);
  const failures: unknown[] = [];
  const resolved = await Promise.all(
    wanted.map(async (address) => {
      const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address) ?? [];
      const host = bracketed ?? plain;
      if (host === undefined || port === undefined)
        throw new ConfigError([`scheduler address "${address}" is not host:port`]);
      if (isIP(host) !== 0) return [join(host, port)];
      try {
        return (await resolve(host)).map((ip) => join(ip, port));
      } catch (error) {
        failures.push(error);
        return [];
      }
    }),
  );
  const all = [...new Set(resolved.flat())].sort();
  if (all.length === 0 && failures.length > 0) throw failures[0] as Error;
  return all;
}

const join = (ip: string, port: string): string => (isIP(ip) === 6 ? `[${ip}]:${port}` : `${ip}:${port}`);

async function fromFile(path: string, read: ReadText): Promise<readonly string[]> {
  let text: string;
  try {
    text = await read(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const { config } = readConfig({
    path,
    text,
    schema: fileSchema,
    knownElsewhere: [...BLOCK_LISTS, ...OF_SCHEDULERS],
    env: {},
  });
  const { addr, addrs } = config.scheduler;
  return addrs.length > 0 ? addrs : addr === undefined ? [] : [addr];
}
