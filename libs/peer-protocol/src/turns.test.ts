import * as net from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { encodeTurnRequest, type TurnRequestFrame } from '@d7y/piece-codec';
import fc from 'fast-check';
import { content, createPool, KIB, logger, MemorySink, MemorySource, MIB, TASK_ID, until } from './_rig.ts';
import { createPieceClient } from './piece-client.ts';
import { type PieceServer, type PieceServerOptions, startPieceServer } from './piece-server.ts';
import { createTurnClient, type OfferedTurn, type TurnClient, type TurnListener } from './turn-client.ts';

const NEVER = new AbortController().signal;
const PIECE = MIB;
const PIECES = [content(PIECE, 1), content(PIECE, 2)];
const OTHER_TASK = 'b'.repeat(64);

let stack = new AsyncDisposableStack();

afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const start = async (options: Partial<PieceServerOptions> = {}): Promise<PieceServer> => {
  const { limits, ...others } = options;
  return stack.use(
    await startPieceServer({
      ...{ host: '127.0.0.1', port: 0, source: new MemorySource(PIECE, PIECES), bufferPool: createPool(), logger },
      ...{ limits: { drainMs: 0, turnOfferMs: 5_000, ...limits }, ...others },
    }),
  );
};

const child = (packetId: number, reconnectMs = 20): TurnClient & Disposable =>
  stack.use(createTurnClient({ packetId, logger, reconnectMs }));

/** Writes down what it hears, and takes offers while `takes` says so. */
function listener(takes: () => boolean = () => true) {
  const heard: string[] = [];
  const turns: OfferedTurn[] = [];
  const hears: TurnListener = {
    ruled: (mustWait) => void heard.push(mustWait ? 'wait' : 'ask'),
    serving: () => void heard.push('serving'),
    offered: (reason, turn) => {
      heard.push(reason);
      turns.push(turn);
      return takes();
    },
  };
  return { heard, turns, hears };
}

const at = ({ port }: { port: number }) => ({ ip: '127.0.0.1', tcpPort: port });

async function fetch(server: PieceServer, packetId: number, number: number, keepsAlive = true): Promise<void> {
  using client = createPieceClient({ bufferPool: createPool(64 * KIB), packetId });
  const sink = new MemorySink(number * PIECE, PIECE);
  await client.fetchPiece(
    {
      ...{ ip: '127.0.0.1', tcpPort: server.port, taskId: TASK_ID, kind: 'standard', number, keepsAlive },
      expected: { offset: number * PIECE, length: PIECE },
    },
    sink,
    { signal: NEVER },
  );
  expect(sink.bytes.equals(PIECES[number] ?? Buffer.alloc(0))).toBe(true);
}

describe('turns of a piece server', () => {
  it('let a single child ask as it likes, and have two of them wait', async () => {
    const server = await start();
    const [first, second] = [listener(() => false), listener(() => false)];
    child(1).follow(at(server), TASK_ID, first.hears);
    await until(() => first.heard.includes('ask'));
    const seat = child(2).follow(at(server), TASK_ID, second.hears);
    await until(() => first.heard.includes('wait') && second.heard.includes('wait'));
    seat[Symbol.dispose]();
    await until(() => first.heard.at(-1) === 'ask');
  });

  it('go to one child at a time, and on when it says that the piece it asked for is nearly there', async () => {
    const server = await start({ limits: { uploadTurnMs: 60_000 } });
    const [first, second] = [listener(), listener()];
    const [a, b] = [child(1), child(2)];
    a.follow(at(server), TASK_ID, first.hears).wants(true);
    await until(() => first.heard.includes('turn'));
    b.follow(at(server), TASK_ID, second.hears).wants(true);
    await until(() => second.heard.includes('wait'));
    expect(second.heard).not.toContain('turn');
    a.setLevel('full');
    await fetch(server, 1, 0);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(second.heard).not.toContain('turn');
    first.turns[0]?.endsIn(20);
    await until(() => second.heard.includes('turn'));
    await fetch(server, 2, 1);
  });

  it('go on when a child that took one asked for nothing, or hangs up with it', async () => {
    const server = await start({ limits: { uploadTurnMs: 60_000 } });
    const [first, second, third] = [listener(), listener(), listener()];
    child(1).follow(at(server), TASK_ID, first.hears).wants(true);
    await until(() => first.heard.includes('turn'));
    const dying = child(2);
    dying.follow(at(server), TASK_ID, second.hears).wants(true);
    first.turns[0]?.endsIn(0);
    await until(() => second.heard.includes('turn'));
    await fetch(server, 2, 1);
    child(3).follow(at(server), TASK_ID, third.hears).wants(true);
    await until(() => third.heard.includes('wait'));
    expect(third.heard).not.toContain('turn');
    dying[Symbol.dispose]();
    await until(() => third.heard.includes('turn'));
  });

  it('go on when a child passes that had asked unasked meanwhile, and so was taken to have taken one', async () => {
    const server = await start({ limits: { uploadTurnMs: 60_000 } });
    const socket = net.connect({ host: '127.0.0.1', port: server.port }).on('error', () => undefined);
    stack.defer(() => void socket.destroy());
    const say = (frame: TurnRequestFrame): unknown => socket.write(encodeTurnRequest(frame));
    const offered = once(socket, 'data');
    say({ kind: 'level', packetId: 1, level: 'idle' });
    say({ kind: 'wish', packetId: 1, taskId: TASK_ID, wish: 'something' });
    await offered;
    await fetch(server, 1, 0);
    const second = listener();
    child(2).follow(at(server), TASK_ID, second.hears).wants(true);
    await until(() => second.heard.includes('wait'));
    expect(second.heard).not.toContain('turn');
    say({ kind: 'level', packetId: 1, level: 'full' });
    say({ kind: 'pass', packetId: 1, offer: 0 });
    await until(() => second.heard.includes('turn'));
  });

  it('begin with a rule for whoever follows again, since others may have come meanwhile', async () => {
    const server = await start();
    const [alone, again, other] = [listener(() => false), listener(() => false), listener(() => false)];
    const first = child(1);
    const seat = first.follow(at(server), TASK_ID, alone.hears);
    await until(() => alone.heard.includes('ask'));
    seat[Symbol.dispose]();
    child(2).follow(at(server), TASK_ID, other.hears);
    await until(() => other.heard.includes('ask'));
    first.follow(at(server), TASK_ID, again.hears);
    await until(() => again.heard.length > 0);
    expect(again.heard[0]).toBe('wait');
  });

  it('go to the next child when one passes', async () => {
    const server = await start();
    const [first, second] = [listener(() => false), listener()];
    child(1).follow(at(server), TASK_ID, first.hears).wants(true);
    await until(() => first.heard.includes('turn'));
    child(2).follow(at(server), TASK_ID, second.hears).wants(true);
    await until(() => second.heard.includes('turn'));
    expect(first.heard.filter((what) => what === 'turn')).toHaveLength(1);
  });

  it('go to the next child when one hangs up with an offer, or says nothing for long', async () => {
    const server = await start({ limits: { turnOfferMs: 100 } });
    const [first, second, third] = [listener(), listener(), listener()];
    const dying = child(1);
    dying.follow(at(server), TASK_ID, first.hears).wants(true);
    await until(() => first.heard.includes('turn'));
    child(2).follow(at(server), TASK_ID, second.hears).wants(true);
    dying[Symbol.dispose]();
    await until(() => second.heard.includes('turn'));
    child(3).follow(at(server), TASK_ID, third.hears).wants(true);
    await until(() => third.heard.includes('turn'));
  });

  it('serve a request that comes after its offer was given to somebody else', async () => {
    const server = await start({ limits: { turnOfferMs: 20 } });
    const [first, second] = [listener(), listener()];
    child(1).follow(at(server), TASK_ID, first.hears).wants(true);
    await until(() => first.heard.includes('turn'));
    child(2).follow(at(server), TASK_ID, second.hears).wants(true);
    await until(() => second.heard.includes('turn'));
    await fetch(server, 1, 0);
  });

  it('share their place with children that know nothing of turns', async () => {
    const server = await start({ limits: { concurrentUploads: 1 } });
    const first = listener();
    const seat = child(1).follow(at(server), TASK_ID, first.hears);
    seat.wants(true);
    await until(() => first.heard.includes('turn'));
    const stock = fetch(server, 9, 1, false);
    await fetch(server, 1, 0);
    await stock;
  });

  it('offer to a child that receives something only what nobody else has', async () => {
    const server = await start({ isFresh: (taskId) => taskId === OTHER_TASK });
    const [stale, fresh] = [listener(() => false), listener(() => false)];
    const busy = child(1);
    busy.setLevel('full');
    busy.follow(at(server), TASK_ID, stale.hears).wants(true);
    await until(() => stale.heard.includes('ask'));
    busy.follow(at(server), OTHER_TASK, fresh.hears).wants(true);
    await until(() => fresh.heard.includes('fresh'));
    expect(stale.heard).not.toContain('turn');
  });

  it('come with word that others are served, as long as that is so', async () => {
    const server = await start({ limits: { turnBeatMs: 20 } });
    const [first, second] = [listener(() => false), listener(() => false)];
    child(1).follow(at(server), TASK_ID, first.hears);
    child(2).follow(at(server), TASK_ID, second.hears);
    await until(() => first.heard.includes('wait') && second.heard.includes('wait'));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(first.heard).not.toContain('serving');
    await fetch(server, 9, 1, false);
    await until(() => first.heard.includes('serving') && second.heard.includes('serving'));
    expect(first.heard.filter((what) => what === 'wait')).toHaveLength(1);
  });

  it('are spoken of again after the connection broke', async () => {
    const server = await start();
    const first = listener(() => false);
    const address = at(server);
    child(1).follow(address, TASK_ID, first.hears).wants(true);
    await until(() => first.heard.includes('turn'));
    await server[Symbol.asyncDispose]();
    const asked = first.heard.length;
    const again = await start({ port: address.tcpPort });
    await until(() => first.heard.slice(asked).includes('turn'));
    expect(again.load().connections).toBe(1);
  });

  it('let children ask as they like where nobody answers', async () => {
    const silent = net.createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as net.AddressInfo;
    silent.close();
    const first = listener();
    child(1).follow({ ip: '127.0.0.1', tcpPort: port }, TASK_ID, first.hears).wants(true);
    await until(() => first.heard.includes('ask'));
  });

  it('leave nothing behind of a child that says anything at all', async () => {
    const server = await start();
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .array(
          fc.oneof(
            fc.record({
              ...{ kind: fc.constant('wish' as const), packetId: fc.constant(5), taskId: fc.constant(TASK_ID) },
              wish: fc.constantFrom('nothing' as const, 'something' as const, 'over' as const),
            }),
            fc.record({
              ...{ kind: fc.constant('level' as const), packetId: fc.constant(5) },
              level: fc.constantFrom('idle' as const, 'open' as const, 'full' as const),
            }),
            fc.record({ kind: fc.constant('pass' as const), packetId: fc.constant(5), offer: fc.nat(3) }),
            fc.record({
              ...{ kind: fc.constant('ending' as const), packetId: fc.constant(5), offer: fc.nat(3) },
              inMs: fc.nat(2 ** 32 - 1),
            }),
          ),
          { maxLength: 12 },
        )
        .map((frames) => Buffer.concat(frames.map(encodeTurnRequest))),
    );
    await fc.assert(
      fc.asyncProperty(noise, fc.nat(200), async (bytes, cut) => {
        const socket = net.connect({ host: '127.0.0.1', port: server.port }).on('error', () => undefined);
        await once(socket, 'connect');
        socket.write(bytes.subarray(0, cut));
        socket.end();
        socket.resume();
        await once(socket, 'close');
      }),
      { numRuns: 60 },
    );
    await until(() => server.load().connections === 0);
    await fetch(server, 1, 0);
    expect(server.load().uploads).toBe(0);
  });
});
