import { expect, it } from '@jest/globals';
import type { Secret } from '@d7y/service-kit';
import { databasesOfTests, startTestManager } from './_rig.ts';
import { listenTo } from './rest/events/_listener.ts';

const newDatabase = databasesOfTests();

it('serves REST: root signs in with the password told at the start, and asks for a preheat', async () => {
  let password: Secret | undefined;
  await using manager = await startTestManager(await newDatabase(), {
    overrides: { tellRootPassword: (told) => (password = told) },
  });
  const url = `http://127.0.0.1:${manager.restPort}`;
  for (const path of ['/healthy', '/readyz']) expect(await (await fetch(url + path)).text()).toBe('"OK"');
  const post = async (path: string, body: object, token = '') => {
    const headers = { 'content-type': 'application/json', ...(token !== '' && { authorization: `Bearer ${token}` }) };
    const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  };
  const signedIn = await post('/api/v1/users/signin', { name: 'root', password: password?.reveal() });
  expect(signedIn.status).toBe(200);
  const token = signedIn.json['token'] as string;
  const image = { type: 'image', url: 'registry.example/library/nginx:1.25' };
  expect((await post('/api/v1/preheat', image)).status).toBe(401);
  expect(await post('/api/v1/preheat', image, token)).toEqual({
    status: 200,
    json: { id: '1', job_id: 1, status: 'WAITING' },
  });
  // There is no key by which its credentials could be sealed.
  const withCredentials = { ...image, headers: { Authorization: 'Bearer hidden' } };
  const refused = await post('/api/v1/preheat', withCredentials, token);
  expect([refused.status, refused.json]).toEqual([422, { errors: expect.stringContaining('secrets.key') }]);
  const matches = await fetch(`${url}/api/v1/clusters/match?ip=10.0.0.1&hostname=a`, {
    headers: { authorization: `Bearer ${token}` },
  });
  expect([matches.status, Array.isArray(await matches.json())]).toEqual([200, true]);
}, 60_000);

it('tells who listens when a job is asked for, and lets them go when it stops', async () => {
  let password: Secret | undefined;
  await using manager = await startTestManager(await newDatabase(), {
    overrides: { tellRootPassword: (told) => (password = told) },
  });
  const url = `http://127.0.0.1:${manager.restPort}/api/v1`;
  const post = async (path: string, body: object, headers = {}) => {
    const content = { 'content-type': 'application/json', ...headers };
    const response = await fetch(url + path, { method: 'POST', headers: content, body: JSON.stringify(body) });
    return (await response.json()) as Record<string, unknown>;
  };
  const { token } = await post('/users/signin', { name: 'root', password: password?.reveal() });
  const headers = { authorization: `Bearer ${String(token)}` };
  using heard = await listenTo(`${url}/events`, headers);
  await heard.nextThat(({ event }) => event === 'jobs.snapshot');
  await post('/preheat', { type: 'image', url: 'registry.example/library/nginx:1.25' }, headers);
  await heard.nextThat(({ event, data }) => event === 'jobs.changed' && data.changed[0]?.type === 'preheat');
  await manager[Symbol.asyncDispose]();
  // It ends as it should: a stream that held up the stop would be cut off.
  expect((await heard.rest()).at(-1)).toEqual({ event: 'end', data: { reason: 'the manager is stopping' } });
}, 60_000);
