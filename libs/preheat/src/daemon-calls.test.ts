import { common } from '@d7y/api';
import { DEFAULT_FILTERED_QUERY_PARAMS, taskIdOf } from '@d7y/piece';
import { Secret } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { type PreheatRole, toDownload } from './daemon-calls.ts';
import { taskIdFor } from './request.ts';

const BLOB = `https://r.example/v2/a/b/blobs/sha256:${'1'.repeat(64)}`;
const IDENTITY = {
  tag: undefined,
  application: undefined,
  pieceLength: undefined,
  filteredQueryParams: DEFAULT_FILTERED_QUERY_PARAMS,
};
const SECRETS = { authorization: new Secret('Bearer planted') };

const asked = (role: PreheatRole, url = BLOB, certificateChain: readonly Uint8Array[] = []) =>
  toDownload(
    url,
    {
      identity: IDENTITY,
      access: { headers: { accept: '*/*' }, credentials: SECRETS, certificateChain, tls: {} },
      extras: { priority: common.Priority.LEVEL6, hdfs: { $typeName: 'common.v2.HDFS', delegationToken: 'planted' } },
      byDigest: true,
      remoteIp: '10.0.0.1',
    },
    role,
  );

const idOf = (download: common.Download) =>
  taskIdOf({
    url: download.url,
    filteredQueryParams: download.filteredQueryParams,
    enableTaskIdBasedBlobDigest: download.enableTaskIdBasedBlobDigest,
  });

describe('toDownload', () => {
  it('gives credentials to the fetcher alone', () => {
    const fetcher = asked({ kind: 'fetcher', credentials: SECRETS });
    expect(fetcher.requestHeader).toEqual({ accept: '*/*', authorization: 'Bearer planted' });
    expect(fetcher.hdfs?.delegationToken).toBe('planted');
    for (const kind of ['follower', 'keeper'] as const) {
      expect(asked({ kind }).requestHeader).toEqual({ accept: '*/*' });
      expect(asked({ kind }).hdfs).toBeUndefined();
    }
  });

  it('has keepers of private content take it from the swarm, under the id of its address', () => {
    expect(asked({ kind: 'keeper' })).toMatchObject({
      disableBackToSource: true,
      enableTaskIdBasedBlobDigest: false,
      priority: common.Priority.LEVEL3,
    });
    expect(idOf(asked({ kind: 'keeper' }))).toBe(taskIdFor(BLOB, IDENTITY, false));
    expect(idOf(asked({ kind: 'follower' }))).toBe('1'.repeat(64));
  });

  it('hands the authorities of the registry on to every daemon, unless they are more than daemons take', () => {
    const chain = (certificates: number, bytes = 10) =>
      Array.from({ length: certificates }, () => new Uint8Array(bytes));
    for (const role of [{ kind: 'fetcher', credentials: SECRETS }, { kind: 'follower' }, { kind: 'keeper' }] as const) {
      expect(asked(role, BLOB, chain(16)).certificateChain).toHaveLength(16);
      expect(asked(role, BLOB, chain(17)).certificateChain).toEqual([]);
      expect(asked(role, BLOB, chain(2, 40_000)).certificateChain).toEqual([]);
    }
  });

  it('keeps the signature of a URL from keepers, whose task is the same without it', () => {
    const signed = 'https://s3.example/file?version=2&X-Amz-Signature=planted&X-Amz-Date=1';
    const keeper = asked({ kind: 'keeper' }, signed);
    expect(keeper.url).toBe('https://s3.example/file?version=2');
    expect(idOf(keeper)).toBe(taskIdFor(signed, IDENTITY, true));
    expect(asked({ kind: 'follower' }, signed).url).toBe(signed);
  });
});
