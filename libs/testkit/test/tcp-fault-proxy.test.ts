import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../src/process/eventually.ts';
import { pseudoRandomBytes } from '../src/scratch/pseudo-random.ts';
import { type FileOrigin, startFileOrigin } from '../src/http/file-origin.ts';
import { startTcpFaultProxy, type TcpFaultProxy } from '../src/http/tcp-fault-proxy.ts';
import { download } from './_download.ts';

const BYTES = pseudoRandomBytes('tcp', 500_000);
let origin: FileOrigin;
let proxy: TcpFaultProxy;
let url: string;

beforeEach(async () => {
  origin = await startFileOrigin();
  origin.publish('/file', { bytes: BYTES });
  proxy = await startTcpFaultProxy({ port: Number(new URL(origin.url).port) });
  url = `http://127.0.0.1:${proxy.port}/file`;
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

describe('startTcpFaultProxy', () => {
  it('passes everything on when it has nothing to spoil', async () => {
    expect((await download(url)).body.equals(BYTES)).toBe(true);
    expect(proxy.connections).toBe(1);
  });

  it('cuts after so many bytes', async () => {
    proxy.fault = { kind: 'cut', afterBytes: 100_000 };
    const outcome = await download(url).catch(() => undefined);
    expect(outcome?.cut ?? true).toBe(true);
    expect(proxy.sentBytes).toBe(100_000);
  });

  it('resets a connection as soon as it is accepted', async () => {
    proxy.fault = { kind: 'cut', afterBytes: 0 };
    await expect(download(url)).rejects.toThrow();
  });

  it('accepts and never answers', async () => {
    proxy.fault = { kind: 'stall', afterBytes: 0 };
    const leave = new AbortController();
    const waiting = download(url, {}, { signal: leave.signal });
    await eventually(() => expect(origin.log.requests).toHaveLength(1));
    leave.abort();
    await expect(waiting).rejects.toThrow('aborted');
    expect(proxy.sentBytes).toBe(0);
  });

  it('flips one bit', async () => {
    proxy.fault = { kind: 'corrupt', atByte: 300_000 };
    const { body } = await download(url);
    expect(body.length).toBe(BYTES.length);
    expect(body.filter((byte, at) => byte !== BYTES[at])).toHaveLength(1);
  });
});
