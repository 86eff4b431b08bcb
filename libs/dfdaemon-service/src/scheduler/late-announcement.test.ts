import type { Announcement } from '@d7y/peer-protocol';
import { describe, expect, it } from '@jest/globals';
import { LateAnnouncement } from './late-announcement.ts';

function conversation() {
  const said: string[] = [];
  const ready = Promise.withResolvers<void>();
  const note = (what: string) => (): void => void said.push(what);
  const announcement: Announcement = {
    instructions: (async function* () {
      yield { kind: 'empty' } as const;
    })(),
    started: note('started'),
    backToSourceStarted: note('backToSourceStarted'),
    pieceFinished: ({ number }) => void said.push(`piece ${number}`),
    pieceFailed: note('pieceFailed'),
    reschedule: note('reschedule'),
    finished: async () => void said.push('finished'),
    backToSourceFinished: async () => void said.push('backToSourceFinished'),
    failed: async (reason) => void said.push(`failed ${reason}`),
    backToSourceFailed: async () => void said.push('backToSourceFailed'),
    abort: note('abort'),
  };
  const late = new LateAnnouncement(ready.promise, () => {
    said.push('register');
    return announcement;
  });
  return { late, said, ready };
}
const piece = (number: number) => ({
  ...{ number, offset: 0, length: 1, digest: 'crc32:1', costMs: 1, createdAtMs: 1 },
  trafficType: 'backToSource' as const,
});
const soon = () => new Promise((resolve) => setImmediate(resolve));

describe('LateAnnouncement', () => {
  it('says in order, once it has begun, what was said before', async () => {
    const { late, said, ready } = conversation();
    late.backToSourceStarted('asked');
    late.pieceFinished(piece(1));
    const ended = late.failed('no');
    await soon();
    expect(said).toEqual([]);
    ready.resolve();
    await ended;
    late.pieceFinished(piece(2));
    expect(said).toEqual(['register', 'backToSourceStarted', 'piece 1', 'failed no', 'piece 2']);
    const instructions = [];
    for await (const instruction of late.instructions) instructions.push(instruction);
    expect(instructions).toEqual([{ kind: 'empty' }]);
  });

  it('never begins when it was broken off, and holds nobody up', async () => {
    const { late, said, ready } = conversation();
    late.started();
    late.abort();
    for await (const instruction of late.instructions) throw new Error(`heard ${instruction.kind}`);
    await late.finished(1, 1);
    ready.resolve();
    await soon();
    late.started();
    expect(said).toEqual([]);
  });

  it('is broken off as any other, once it has begun', async () => {
    const { late, said, ready } = conversation();
    ready.resolve();
    await soon();
    late.abort();
    expect(said).toEqual(['register', 'abort']);
  });

  it('shows in its instructions why it could not begin', async () => {
    const late = new LateAnnouncement(Promise.resolve(), () => {
      throw new Error('no way');
    });
    await expect(late.instructions[Symbol.asyncIterator]().next()).rejects.toThrow('no way');
  });
});
