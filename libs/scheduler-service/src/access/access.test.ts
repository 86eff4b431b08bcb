import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code, createClient, createContextValues } from '@connectrpc/connect';
import { scheduler, swarm, swarmListing } from '@d7y/api';
import { createGrpcConnection } from '@d7y/peer-protocol';
import { CALLER, type Caller } from '@d7y/service-kit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Download, hostMessage, SchedulerRig, TASK_ID } from '../_rig.ts';
import type { CertificatePem } from './_certificates.ts';
import { ANYBODY, BY_ADDRESS, BY_NAME, BY_URI, CA_PEM, OPERATOR, SERVER } from './_certificates.ts';
import { Access } from './access.ts';

const callOf = (caller: Partial<Caller>) => ({
  values: createContextValues().set(CALLER, { commonName: '', dnsNames: [], ipAddresses: [], uris: [], ...caller }),
});
const bound = new Access({ isAuthenticated: true, bindHosts: true, operators: ['manager.example'] });

describe('Access', () => {
  it.each<[string, Partial<Caller>, string, boolean]>([
    ['its address', { ipAddresses: ['10.0.0.1'] }, '10.0.0.1-node-1', true],
    ['another address', { ipAddresses: ['10.0.0.1'] }, '10.0.0.11-node-1', false],
    ['an IPv6 address in any notation', { ipAddresses: ['2001:db8::1'] }, '2001:0db8::1-node', true],
    ['its name', { dnsNames: ['node-1'] }, '10.0.0.1-Node-1', true],
    ['its name, as a seed', { dnsNames: ['node-1'] }, '10.0.0.1-node-1-seed', true],
    ['the end of its name only', { dnsNames: ['1'] }, '10.0.0.1-node-1', false],
    ['its URI', { uris: ['spiffe://c/ns/host/any%20id'] }, 'any id', true],
    ['the URI of a host below it', { uris: ['spiffe://c/host/x/host/first'] }, 'x/host/first', false],
    ['a URI of something else', { uris: ['spiffe://c/service/first'] }, 'first', false],
    ['a common name alone', { commonName: 'node-1' }, '10.0.0.1-node-1', false],
    ['the role of operator', { uris: ['spiffe://c/d7y/operator'] }, 'whoever', true],
    ['a listed name', { dnsNames: ['manager.example'] }, 'whoever', true],
    ['an id that is none', { ipAddresses: ['10.0.0.1'] }, 'node-1', false],
  ])('judges a certificate with %s', (_what, caller, hostId, expected) => {
    expect(bound.speaksFor(callOf(caller), hostId)).toBe(expected);
  });

  it('lets everybody speak for everybody where nobody has a certificate, or none is bound to a host', () => {
    const open = new Access({ isAuthenticated: false, bindHosts: true, operators: [] });
    const unbound = new Access({ isAuthenticated: true, bindHosts: false, operators: [] });
    for (const access of [open, unbound]) {
      expect(access.speaksFor(callOf({}), 'whoever')).toBe(true);
      access.checkOperator(callOf({}));
    }
    const named = new Access({ isAuthenticated: true, bindHosts: false, operators: ['manager.example'] });
    expect(() => named.checkOperator(callOf({}))).toThrow('access.operators');
  });
});

describe('a scheduler with certificates', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'd7y-access-'));
    await writeFile(join(dir, 'ca.crt'), CA_PEM);
    await writeFile(join(dir, 'tls.crt'), SERVER.cert);
    await writeFile(join(dir, 'tls.key'), SERVER.key);
  });
  afterAll(() => rm(dir, { recursive: true }));

  const start = () =>
    SchedulerRig.start(
      {},
      'access: { operators: [manager.example] }',
      `tls: { caCert: ${dir}/ca.crt, cert: ${dir}/tls.crt, key: ${dir}/tls.key }`,
    );
  const as = (rig: SchedulerRig, { cert, key }: CertificatePem, stack: DisposableStack) => {
    const { transport } = stack.use(
      createGrpcConnection({ host: '127.0.0.1', port: rig.running.port }, { tls: { ca: CA_PEM, cert, key } }),
    );
    return {
      client: createClient(scheduler.Scheduler, transport),
      swarm: createClient(swarm.SwarmService, transport),
      listing: createClient(swarmListing.SwarmListingService, transport),
    };
  };
  const announce = ({ client }: ReturnType<typeof as>, id: string, ip: string) =>
    client.announceHost({ host: hostMessage(id, { ip, hostname: id }) });
  const denied = { code: Code.PermissionDenied };

  it('lets hosts announce themselves, by address, name or URI, and nobody else', async () => {
    await using rig = await start();
    using stack = new DisposableStack();
    const [a, b, c, stranger] = [BY_ADDRESS, BY_NAME, BY_URI, ANYBODY].map((pem) => as(rig, pem, stack));
    if (a === undefined || b === undefined || c === undefined || stranger === undefined) throw new TypeError();
    await announce(a, '10.0.0.1-node-a', '10.0.0.1');
    await announce(b, '10.0.0.2-node-b', '10.0.0.2');
    await announce(c, 'first', '10.0.0.3');
    await expect(announce(a, '10.0.0.2-node-b', '10.0.0.1')).rejects.toMatchObject({
      ...denied,
      rawMessage: 'the certificate of 10.0.0.1, 2001:db8::1 does not speak for host 10.0.0.2-node-b',
    });
    // Its own id, but where another one is.
    await expect(announce(a, '10.0.0.1-node-a', '10.0.0.2')).rejects.toMatchObject(denied);
    await expect(announce(stranger, '10.0.0.9-x', '10.0.0.9')).rejects.toMatchObject(denied);
    expect((await stranger.client.listHosts({})).hosts).toHaveLength(3);
  });

  it('lets a host change and delete what is its own only', async () => {
    await using rig = await start();
    using stack = new DisposableStack();
    const [a, b, operator] = [BY_ADDRESS, BY_NAME, OPERATOR].map((pem) => as(rig, pem, stack));
    if (a === undefined || b === undefined || operator === undefined) throw new TypeError();
    const ids = { hostId: '10.0.0.1-node-a', taskId: TASK_ID, peerId: 'peer-a' };
    await announce(a, ids.hostId, '10.0.0.1');
    await announce(b, '10.0.0.2-node-b', '10.0.0.2');
    await using own = new Download(a.client, ids, {});
    expect((await own.answer())?.case).toBe('needBackToSourceResponse');

    await using foreign = new Download(b.client, { ...ids, peerId: 'peer-b' }, {});
    await expect(foreign.answer()).rejects.toMatchObject(denied);
    await expect(b.client.deletePeer(ids)).rejects.toMatchObject(denied);
    // Not by naming oneself as the host of another's peer either.
    await expect(b.client.deletePeer({ ...ids, hostId: '10.0.0.2-node-b' })).rejects.toMatchObject(denied);
    await expect(b.client.deleteTask(ids)).rejects.toMatchObject(denied);
    await expect(b.client.deleteHost(ids)).rejects.toMatchObject(denied);
    const open = { request: { case: 'open' as const, value: { hostId: ids.hostId, version: '1' } } };
    const linked = b.swarm.link(
      (async function* () {
        yield open;
        await new Promise(() => undefined);
      })(),
    );
    await expect(linked[Symbol.asyncIterator]().next()).rejects.toMatchObject(denied);
    expect((await b.client.statPeer(ids)).id).toBe('peer-a');

    await operator.client.deleteTask(ids);
    await expect(a.client.statPeer(ids)).rejects.toMatchObject({ code: Code.NotFound });
    await a.client.deleteHost(ids);
  });

  it('lists the swarm for operators, and tells of peers and tasks to them and to hosts that it knows', async () => {
    await using rig = await start();
    using stack = new DisposableStack();
    const [a, stranger, operator] = [BY_ADDRESS, ANYBODY, OPERATOR].map((pem) => as(rig, pem, stack));
    if (a === undefined || stranger === undefined || operator === undefined) throw new TypeError();
    await announce(operator, '10.0.0.2-node-b', '10.0.0.2');
    const unknown = { hostId: 'x', taskId: TASK_ID, peerId: 'peer' };
    await expect(a.client.statTask(unknown)).rejects.toMatchObject(denied);
    await announce(a, '10.0.0.1-node-a', '10.0.0.1');
    await expect(a.client.statTask(unknown)).rejects.toMatchObject({ code: Code.NotFound });
    await expect(operator.client.statPeer(unknown)).rejects.toMatchObject({ code: Code.NotFound });
    await expect(stranger.client.statPeer(unknown)).rejects.toMatchObject(denied);
    await a.client.deleteHost({ hostId: '10.0.0.1-node-a' });
    await expect(a.client.statPeer(unknown)).rejects.toMatchObject(denied);

    expect(await operator.listing.getOverview({})).toMatchObject({ hosts: 1n });
    for (const { listing } of [a, stranger]) {
      await expect(listing.getOverview({})).rejects.toMatchObject(denied);
      await expect(listing.listTasks({})).rejects.toMatchObject(denied);
      await expect(listing.listPeers({})).rejects.toMatchObject(denied);
      await expect(listing.listTransfers({})).rejects.toMatchObject(denied);
    }
  });
});
