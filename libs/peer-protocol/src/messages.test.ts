import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from '@jest/globals';
import { common } from '@d7y/api';
import type { PeerRegistration } from './announcement.ts';
import { toHostLoadMessage, toHostMessage } from './host-message.ts';
import { packetIdOf } from './packet-id.ts';
import { parseParents } from './parent-offer.ts';
import { toPieceMessage, toPieceReport } from './piece-message.ts';
import { toDownloadMessage } from './registration-message.ts';

const REGISTRATION: PeerRegistration = {
  hostId: 'h',
  taskId: 't',
  peerId: 'p',
  url: 'https://a.example/',
  tag: undefined,
  application: undefined,
  digest: undefined,
  filteredQueryParams: [],
  requestHeaders: {},
  requestedPieceLength: undefined,
  priority: 0,
  range: undefined,
  contentLength: undefined,
  pieceLength: undefined,
  needBackToSource: false,
  metadataOnly: false,
  concurrentPieceCount: 8,
  contentForCalculatingTaskId: undefined,
  enableTaskIdBasedBlobDigest: false,
};

describe('toDownloadMessage', () => {
  it('leaves out what is unknown: to a scheduler 0 bytes are an empty task', () => {
    const decoded = fromBinary(common.DownloadSchema, toBinary(common.DownloadSchema, toDownloadMessage(REGISTRATION)));
    for (const field of [
      'actualContentLength',
      'actualPieceLength',
      'actualPieceCount',
      'digest',
      'tag',
      'range',
      'pieceLength',
    ] as const) {
      expect(decoded[field]).toBeUndefined();
    }
    expect(decoded).toMatchObject({
      url: 'https://a.example/',
      type: common.TaskType.STANDARD,
      concurrentPieceCount: 8,
    });
  });

  it('tells the lengths, also of an empty task, and the pieces they make', () => {
    const lengths = (contentLength: number) => {
      const message = toDownloadMessage({ ...REGISTRATION, contentLength, pieceLength: 4_194_304 });
      return [message.actualContentLength, message.actualPieceLength, message.actualPieceCount];
    };
    expect(lengths(0)).toEqual([0n, 4_194_304n, 0n]);
    expect(lengths(4_194_304)).toEqual([4_194_304n, 4_194_304n, 1n]);
    expect(lengths(4_194_305)).toEqual([4_194_305n, 4_194_304n, 2n]);
  });

  it('carries everything else that belongs to the id or to the schedule', () => {
    const message = toDownloadMessage({
      ...REGISTRATION,
      ...{ tag: 't', application: 'a', digest: 'sha256:00', filteredQueryParams: ['ns'], priority: 3 },
      ...{
        requestedPieceLength: 8_388_608,
        range: { start: 5, length: 10 },
        needBackToSource: true,
        metadataOnly: true,
      },
      ...{ contentForCalculatingTaskId: 'c', enableTaskIdBasedBlobDigest: true },
    });
    expect(message).toMatchObject({
      ...{
        tag: 't',
        application: 'a',
        digest: 'sha256:00',
        filteredQueryParams: ['ns'],
        priority: common.Priority.LEVEL3,
      },
      ...{ pieceLength: 8_388_608n, range: { start: 5n, length: 10n }, needBackToSource: true, metadataOnly: true },
      ...{ contentForCalculatingTaskId: 'c', enableTaskIdBasedBlobDigest: true },
    });
    expect(toDownloadMessage({ ...REGISTRATION, priority: 99 }).priority).toBe(common.Priority.LEVEL0);
  });

  it('lets no credential out, whatever the spelling', () => {
    const requestHeaders = { Authorization: 'Bearer x', cookie: 'y', 'Proxy-Authorization': 'z', accept: '*/*' };
    expect(toDownloadMessage({ ...REGISTRATION, requestHeaders }).requestHeader).toEqual({ accept: '*/*' });
  });
});

describe('toPieceMessage and toPieceReport', () => {
  const record = {
    number: 2,
    offset: 200,
    length: 100,
    digest: 'crc32:1',
    costMs: 1234,
    createdAtMs: 1_700_000_000_123,
  };

  it.each(['backToSource', 'remotePeer', 'localPeer'] as const)('carry a %s piece there and back', (trafficType) => {
    const piece = { ...record, trafficType, parentId: trafficType === 'remotePeer' ? 'p' : undefined };
    expect(toPieceReport(toPieceMessage(piece))).toEqual(piece);
  });

  it('always set cost and creation time, which stock schedulers insist on', () => {
    const message = toPieceMessage({ ...record, costMs: 0, trafficType: 'remotePeer' });
    const decoded = fromBinary(common.PieceSchema, toBinary(common.PieceSchema, message));
    expect(decoded.cost).toBeDefined();
    expect(decoded.createdAt).toBeDefined();
  });

  it('refuse numbers that no piece can have', () => {
    expect(toPieceReport(create(common.PieceSchema, { offset: 2n ** 60n }))).toBeUndefined();
    expect(toPieceReport(create(common.PieceSchema, { offset: 2n ** 53n - 1n, length: 1n }))).toBeUndefined();
  });
});

describe('parseParents', () => {
  const offer = (init: object) =>
    create(common.PeerSchema, { id: 'p', host: { id: 'h', ip: '10.0.0.1', port: 4000 }, ...init });
  const parse = (init: object) => parseParents([offer(init)], () => undefined)[0];

  it('takes what the offer tells', () => {
    const host = { id: 'h', ip: '::1', port: 1, type: 1, network: { idc: 'a', location: 'b|c' } };
    expect(parse({ host, priority: common.Priority.LEVEL3, task: { contentLength: 7n } })).toMatchObject({
      ...{ peerId: 'p', hostId: 'h', ip: '::1', port: 1, isSeed: true, idc: 'a', location: 'b|c' },
      ...{ isPrivate: true, isComplete: false, contentLength: 7, pieceLength: undefined },
    });
  });

  it('knows who has everything', () => {
    expect(parse({ state: 'Succeeded' })).toMatchObject({ isComplete: true });
    expect(parse({ state: 'Running' })).toMatchObject({ isComplete: false });
  });

  it('does not take lengths that mean unknown', () => {
    expect(parse({ task: { contentLength: 0n } })?.contentLength).toBeUndefined();
    expect(parse({ task: { contentLength: 2n ** 64n - 1n } })?.contentLength).toBeUndefined();
  });

  it('reads the piece length from pieces where they are listed', () => {
    expect(parse({ task: { pieces: [{ number: 0 }, { number: 3, offset: 12n }] } })?.pieceLength).toBe(4);
    expect(parse({ task: { pieces: [{ number: 3, offset: 11n }] } })?.pieceLength).toBeUndefined();
  });

  it('skips what cannot be used and says why', () => {
    const skipped: string[] = [];
    const offers = [
      offer({ id: '' }),
      offer({ host: undefined }),
      offer({ host: { id: '', ip: '10.0.0.1', port: 1 } }),
      offer({ host: { id: 'h', ip: 'name', port: 1 } }),
      offer({ host: { id: 'h', ip: '10.0.0.1', port: -1 } }),
      offer({}),
    ];
    expect(parseParents(offers, (_id, reason) => skipped.push(reason))).toHaveLength(1);
    expect(skipped).toHaveLength(5);
  });

  it('looks at a bounded number of offers', () => {
    expect(
      parseParents(
        Array.from({ length: 1000 }, () => offer({})),
        () => undefined,
      ),
    ).toHaveLength(64);
  });
});

describe('toHostMessage', () => {
  const host = { id: 'h', isSeed: true, hostname: 'n', ip: '10.0.0.1', port: 4000, downloadPort: 4000 };

  it('describes a host as schedulers want it', () => {
    const message = toHostMessage({
      ...host,
      ...{ idc: 'a', location: 'b', version: '1.2.3', schedulerClusterId: 2 },
      load: {
        network: { maxRxBandwidth: 1e10, rxBandwidth: 1.5, maxTxBandwidth: 1e10, txBandwidth: 0 },
        disk: { total: 1, free: 1, used: 0, usedPercent: 0 },
        memory: { total: 1, available: 1, used: 0, free: 1, usedPercent: 5, processUsedPercent: 1 },
        cpu: { logicalCount: 2, physicalCount: 2, percent: 1, processPercent: 1 },
      },
    });
    expect(message).toMatchObject({
      ...{ id: 'h', type: 1, hostname: 'n', name: 'n', port: 4000, downloadPort: 4000, schedulerClusterId: 2n },
      ...{ network: { idc: 'a', location: 'b', maxRxBandwidth: 10_000_000_000n, rxBandwidth: 2n } },
      ...{ build: { gitVersion: '1.2.3' }, cpu: { logicalCount: 2 }, memory: { usedPercent: 5 }, disk: { total: 1n } },
    });
  });

  it('leaves out what is unknown', () => {
    const message = toHostMessage(host);
    expect([message.cpu, message.memory, message.disk, message.build]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(message.network?.idc).toBeUndefined();
  });

  it('tells only network figures once a second', () => {
    const figures = { maxRxBandwidth: 1, rxBandwidth: 2, maxTxBandwidth: 3, txBandwidth: 4 };
    expect(toHostLoadMessage(figures)).toMatchObject({ id: '', network: { maxTxBandwidth: 3n, txBandwidth: 4n } });
  });
});

describe('packetIdOf', () => {
  it('is a byte, the same for the same host, different for neighbours', () => {
    const ids = Array.from({ length: 64 }, (_, index) => packetIdOf(`127.0.0.1-child-${index}`));
    expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < 256)).toBe(true);
    expect(packetIdOf('127.0.0.1-child-0')).toBe(ids[0]);
    expect(new Set(ids).size).toBeGreaterThan(40);
  });
});
