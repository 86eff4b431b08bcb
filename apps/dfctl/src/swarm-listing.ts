import { readFile } from 'node:fs/promises';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import type { Client } from '@connectrpc/connect';
import { swarmListing } from '@d7y/api';
import { formatBytes } from '@d7y/cli-kit';
import type { TlsOptions } from '@d7y/peer-protocol';
import { createGrpcConnection } from '@d7y/peer-protocol';
import { SwarmListingError } from './errors.ts';
import { table } from './table.ts';

/** What of a swarm can be listed. */
export type SwarmSubject = 'tasks' | 'peers' | 'transfers';

/** Which scheduler is asked, and for what. */
export interface SwarmQuestion {
  readonly scheduler: { readonly host: string; readonly port: number };
  /** Files of certificates and a key in PEM. Any of them makes the connection one over TLS, whose other end is verified. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly subject: SwarmSubject;
  /** Beginning of a task id. */
  readonly task?: string | undefined;
  readonly host?: string | undefined;
  readonly state?: string | undefined;
  /** Most rows. */
  readonly limit: number;
}

/** One row, for programs: names as in the messages of the scheduler, numbers as numbers, times as Unix times in ms. */
export type SwarmRow = Readonly<Record<string, string | number | boolean>>;

/** Rows of one answer, and whether there are more. */
export interface SwarmListing {
  readonly subject: SwarmSubject;
  readonly rows: readonly SwarmRow[];
  readonly isComplete: boolean;
}

const PAGE_SIZE = 500;
const TIMEOUT_MS = 10_000;

/** Asks a scheduler of ours. @throws {SwarmListingError} or the reason of the signal */
export async function listSwarm(question: SwarmQuestion, { signal }: { signal: AbortSignal }): Promise<SwarmListing> {
  using connection = createGrpcConnection(question.scheduler, { tls: await readTls(question) });
  const client = createClient(swarmListing.SwarmListingService, connection.transport);
  const rows: SwarmRow[] = [];
  let pageToken = '';
  try {
    do {
      const pageSize = Math.min(PAGE_SIZE, question.limit - rows.length);
      const page = await pageOf(client, question, { pageSize, pageToken }, { signal, timeoutMs: TIMEOUT_MS });
      rows.push(...page.messages.map(toRow));
      pageToken = page.nextPageToken;
    } while (pageToken !== '' && rows.length < question.limit);
  } catch (cause) {
    signal.throwIfAborted();
    const { code, rawMessage } = ConnectError.from(cause);
    const remedy = code === Code.Unimplemented ? 'only schedulers of ours tell this; a stock one does not' : undefined;
    throw new SwarmListingError(rawMessage, { cause, remedy });
  }
  return { subject: question.subject, rows, isComplete: pageToken === '' };
}

/** @throws {SwarmListingError} a file cannot be read, or half of a pair is missing */
async function readTls({ ca, cert, key }: SwarmQuestion): Promise<TlsOptions | undefined> {
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  if ((cert === undefined) !== (key === undefined))
    throw new SwarmListingError('a certificate and its key come together', { remedy: 'give both --cert and --key' });
  const read = async (path: string | undefined): Promise<string | undefined> => {
    if (path === undefined) return undefined;
    try {
      return await readFile(path, 'utf8');
    } catch (cause) {
      throw new SwarmListingError(`${path} cannot be read`, { cause });
    }
  };
  return { ca: await read(ca), cert: await read(cert), key: await read(key) };
}

async function pageOf(
  client: Client<typeof swarmListing.SwarmListingService>,
  { subject, task: taskIdPrefix = '', host: hostId = '', state = '' }: SwarmQuestion,
  page: { readonly pageSize: number; readonly pageToken: string },
  options: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<{ readonly messages: readonly object[]; readonly nextPageToken: string }> {
  switch (subject) {
    case 'tasks': {
      const { tasks, nextPageToken } = await client.listTasks({ ...page, taskIdPrefix, hostId, state }, options);
      return { messages: tasks, nextPageToken };
    }
    case 'peers': {
      const { peers, nextPageToken } = await client.listPeers({ ...page, taskIdPrefix, hostId, state }, options);
      return { messages: peers, nextPageToken };
    }
    case 'transfers': {
      const { transfers, nextPageToken } = await client.listTransfers({ ...page, taskIdPrefix, hostId }, options);
      return { messages: transfers, nextPageToken };
    }
    default:
      return subject satisfies never;
  }
}

function toRow(message: object): SwarmRow {
  const fields = Object.entries(message).filter(([name, value]) => name !== '$typeName' && value !== undefined);
  return Object.fromEntries(
    fields.map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : (value as SwarmRow[string])]),
  );
}

const COLUMNS: Readonly<Record<SwarmSubject, readonly (readonly [string, (row: SwarmRow) => string])[]>> = {
  tasks: [
    ['ID', text('id')],
    ['STATE', text('state')],
    ['SIZE', ({ contentLength }) => (typeof contentLength === 'number' ? formatBytes(contentLength) : '-')],
    ['PIECES', text('pieceCount')],
    ['PEERS', text('peers')],
    ['HOLDERS', text('anchors')],
    ['AT ORIGIN', text('originLeases')],
    ['URL', text('url')],
  ],
  peers: [
    ['ID', text('id')],
    ['TASK', text('taskId')],
    ['STATE', text('state')],
    ['PIECES', ({ finishedPieces, pieceCount = '?' }) => `${finishedPieces}/${pieceCount}`],
    ['PARENTS', text('parents')],
    ['CHILDREN', text('children')],
    ['HOST', text('hostId')],
  ],
  transfers: [
    ['TASK', text('taskId')],
    ['FROM', text('parentHostId')],
    ['TO', text('childHostId')],
    ['HAS', ({ childPieces, pieceCount = '?' }) => `${childPieces}/${pieceCount}`],
    ['OF', ({ parentPieces, pieceCount = '?' }) => `${parentPieces}/${pieceCount}`],
  ],
};

export function swarmText({ subject, rows, isComplete }: SwarmListing): string {
  const columns = COLUMNS[subject];
  const listed = table(
    columns.map(([head]) => head),
    rows.map((row) => columns.map(([, cell]) => cell(row))),
  );
  return isComplete ? listed : `${listed}… and more (--limit)\n`;
}

function text(field: string): (row: SwarmRow) => string {
  return (row) => String(row[field] ?? '-');
}
