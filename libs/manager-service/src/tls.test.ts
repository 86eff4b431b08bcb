import { mkdir, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { createManagerClient, type TlsOptions } from '@d7y/peer-protocol';
import { makeServerCertificate, type ServerCertificate, tempDir, type TempDir } from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunningManager } from './compose.ts';
import { databasesOfTests, startTestManager, targetOf } from './_rig.ts';

const newDatabase = databasesOfTests();
const { signal } = new AbortController();
const SEARCH = {
  ...{ isSeed: false, hostname: 'node-1', ip: '10.9.0.1', idc: undefined, location: undefined },
  ...{ version: '1', commit: 'c', schedulerClusterId: undefined },
};

let dir: TempDir;
/** By the authority that the manager trusts, and by one of which it knows nothing. */
let known: ServerCertificate;
let foreign: ServerCertificate;

beforeAll(async () => {
  dir = await tempDir('d7y-manager-tls');
  const make = async (name: string) => {
    const place = join(dir.path, name);
    await mkdir(place);
    return await makeServerCertificate(place, [], 'serverAuth,clientAuth');
  };
  [known, foreign] = [await make('known'), await make('foreign')];
}, 60_000);

afterAll(async () => {
  await dir[Symbol.asyncDispose]();
});

const filesOf = (caCert: string, cert: string, key: string) => `{ caCert: ${caCert}, cert: ${cert}, key: ${key} }`;

async function listsFor(manager: RunningManager, tls: TlsOptions | undefined): Promise<unknown> {
  using client = createManagerClient(targetOf(manager), { tls, connectTimeoutMs: 5_000 });
  return await client.listSchedulers(SEARCH, { signal });
}

describe('the gRPC interface with certificates', () => {
  it('answers who has one that its authority signed, and nobody else', async () => {
    const files = filesOf(known.caFile, known.certFile, known.keyFile);
    await using manager = await startTestManager(await newDatabase(), { grpc: `tls: ${files}` });
    const { ca } = known;
    expect(await listsFor(manager, { ca, cert: known.cert, key: known.key })).toEqual([]);
    await expect(listsFor(manager, { ca })).rejects.toThrow();
    await expect(listsFor(manager, { ca, cert: foreign.cert, key: foreign.key })).rejects.toThrow();
    await expect(listsFor(manager, undefined)).rejects.toThrow();
    // It is the manager that has to prove itself as well.
    await expect(listsFor(manager, { ca: foreign.ca, cert: known.cert, key: known.key })).rejects.toThrow();
    expect(await listsFor(manager, { ca, cert: known.cert, key: known.key })).toEqual([]);
  });

  it('does not open at all when its files are not there or hold something else', async () => {
    const address = await newDatabase();
    const nowhere = join(dir.path, 'nowhere.pem');
    const broken = join(dir.path, 'broken.pem');
    await writeFile(broken, 'no certificate');
    const start = (grpc: string) => startTestManager(address, { grpc: `tls: ${grpc}` });
    for (const [files, named] of [
      [filesOf(nowhere, known.certFile, known.keyFile), nowhere],
      [filesOf(known.caFile, nowhere, known.keyFile), nowhere],
      [filesOf(known.caFile, known.certFile, nowhere), nowhere],
      [filesOf(known.caFile, broken, known.keyFile), broken],
      [filesOf(known.caFile, known.certFile, broken), broken],
      [filesOf(broken, known.certFile, known.keyFile), broken],
      [filesOf(known.caFile, known.certFile, foreign.keyFile), 'server.grpc.tls'],
    ] as const)
      await expect(start(files)).rejects.toThrow(named);
    // Nor with an authority left out, by which nobody could be known.
    await expect(async () => start(`{ cert: ${known.certFile}, key: ${known.keyFile} }`)).rejects.toThrow('caCert');
  });
});

describe('the REST interface with a certificate', () => {
  it('is served over TLS alone, by its certificate, with cookies for TLS alone', async () => {
    let password = '';
    await using manager = await startTestManager(await newDatabase(), {
      rest: `tls: { cert: ${known.certFile}, key: ${known.keyFile} }`,
      overrides: { tellRootPassword: (told) => (password = told.reveal()) },
    });
    const ask = (ca: string, path: string, body?: object) =>
      new Promise<{ status: number | undefined; cookies: string[]; text: string }>((resolve, reject) => {
        const agent = new Agent({ ca, keepAlive: false });
        const options = { agent, method: body === undefined ? 'GET' : 'POST' };
        const asked = request(`https://127.0.0.1:${manager.restPort}${path}`, options, (answer) => {
          let text = '';
          answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          answer.on('error', reject).on('end', () => {
            resolve({ status: answer.statusCode, cookies: answer.headers['set-cookie'] ?? [], text });
          });
        });
        asked.on('error', reject).setHeader('content-type', 'application/json');
        asked.end(body === undefined ? undefined : JSON.stringify(body));
      });
    expect(await ask(known.ca, '/readyz')).toMatchObject({ status: 200, text: '"OK"' });
    await expect(ask(foreign.ca, '/readyz')).rejects.toThrow();
    await expect(fetch(`http://127.0.0.1:${manager.restPort}/readyz`)).rejects.toThrow();
    const signedIn = await ask(known.ca, '/api/v1/users/signin', { name: 'root', password });
    expect(signedIn.status).toBe(200);
    expect(signedIn.cookies.length).toBeGreaterThan(0);
    for (const cookie of signedIn.cookies) expect(cookie).toMatch(/; *secure/i);
  });

  it('does not open when its certificate is not there', async () => {
    const nowhere = join(dir.path, 'nowhere.pem');
    const rest = `tls: { cert: ${nowhere}, key: ${known.keyFile} }`;
    await expect(startTestManager(await newDatabase(), { rest })).rejects.toThrow(nowhere);
  });
});
