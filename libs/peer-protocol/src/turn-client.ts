import * as net from 'node:net';
import * as tls from 'node:tls';
import {
  encodeTurnRequest,
  type IntakeLevel,
  type TurnAnswerFrame,
  TurnAnswerDecoder,
  type TurnReason,
  type TurnRequestFrame,
  type TurnWish,
} from '@d7y/piece-codec';
import type { Logger } from '@d7y/service-kit';
import { pieceAddressOf } from './piece-address.ts';
import { connectionOptionsOf, type TlsSource } from './tls-options.ts';

/** Feature of daemons whose piece server offers turns, see Hello. */
export const PIECE_TURNS = 'piece-turns';

/** A child's part in a task, as one parent speaks to it. */
export interface TurnListener {
  /** Whether to wait for offers, and not to ask for pieces unasked. */
  ruled(mustWait: boolean): void;
  /** It is there, and sends pieces to whomever; said every few seconds as long as that is so. */
  serving(): void;
  /** A place among the parent's uploads. @returns whether a piece of the task is being asked for right now because of it */
  offered(reason: TurnReason, turn: OfferedTurn): boolean;
}

/** A turn that a parent offered, in the hands of whoever takes it. */
export interface OfferedTurn {
  /**
   * The piece will be here in so many ms, or comes no more: 0. To be said once. The parent knows only what it has handed to its kernel, which
   * may hold a whole piece.
   */
  endsIn(ms: number): void;
}

/** A task followed at one parent, until disposed. */
export interface TurnSeat extends Disposable {
  /** Whether the parent has pieces that we lack and do not receive. */
  wants(isWanting: boolean): void;
}

/** Speaks of turns with the piece servers of parents of ours, over one connection to each. */
export interface TurnClient {
  /** How much this host receives at this moment. */
  setLevel(level: IntakeLevel): void;
  /** Follows a task at a parent. Where the parent cannot be reached, or breaks off, children may ask as they like meanwhile. */
  follow(parent: { readonly ip: string; readonly tcpPort: number }, taskId: string, listener: TurnListener): TurnSeat;
}

export interface TurnClientOptions {
  /** As of the requests for pieces: by it the parent tells who takes its offer. */
  readonly packetId: number;
  readonly tls?: TlsSource | undefined;
  readonly logger: Logger;
  /** For the handshakes of TCP and TLS. */
  readonly connectTimeoutMs?: number | undefined;
  /** From a broken connection to the next one; doubled with each failure in a row, up to ten times as long. */
  readonly reconnectMs?: number | undefined;
  /** A connection over which no task is followed is closed after so long. */
  readonly idleTimeoutMs?: number | undefined;
}

const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MS = 1_000;
const MOST_RECONNECTS = 10;
const IDLE_MS = 30_000;
/** What a parent that reads nothing may leave unread. */
const MAX_UNREAD_BYTES = 256 * 1024;

/** Owns its connections, which do not keep the process alive. */
export function createTurnClient(options: TurnClientOptions): TurnClient & Disposable {
  const channels = new Map<string, TurnChannel>();
  let level: IntakeLevel = 'idle';
  let isClosed = false;
  return {
    setLevel(next) {
      if (next === level) return;
      level = next;
      for (const channel of channels.values()) channel.sayLevel();
    },
    follow(parent, taskId, listener) {
      const address = pieceAddressOf({ ...parent });
      let channel = channels.get(address);
      if (channel === undefined) {
        const where = { host: parent.ip, port: parent.tcpPort };
        const onIdle = (): void => void channels.delete(address);
        channel = new TurnChannel(where, options, { level: () => level, onIdle });
        if (!isClosed) channels.set(address, channel);
      }
      return channel.follow(taskId, listener);
    },
    [Symbol.dispose]() {
      isClosed = true;
      for (const channel of channels.values()) channel.close();
      channels.clear();
    },
  };
}

interface Seat {
  readonly taskId: string;
  readonly listener: TurnListener;
  wish: TurnWish;
}

/** The connection with one parent. Owns the socket; there is one whenever a task is followed, and some time longer. */
class TurnChannel {
  readonly #where: { readonly host: string; readonly port: number };
  readonly #options: TurnClientOptions;
  readonly #level: () => IntakeLevel;
  readonly #onIdle: () => void;
  /** Several downloads of one task follow each other; the parent knows of one. */
  readonly #seats = new Map<string, Set<Seat>>();
  #socket: net.Socket | undefined;
  #isConnected = false;
  #mustWait: boolean | undefined;
  #saidLevel: IntakeLevel | undefined;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(
    where: { readonly host: string; readonly port: number },
    options: TurnClientOptions,
    { level, onIdle }: { readonly level: () => IntakeLevel; readonly onIdle: () => void },
  ) {
    this.#where = where;
    this.#options = options;
    this.#level = level;
    this.#onIdle = onIdle;
  }

  follow(taskId: string, listener: TurnListener): TurnSeat {
    clearTimeout(this.#idle);
    const seat: Seat = { taskId, listener, wish: 'nothing' };
    const seats = this.#seats.get(taskId) ?? new Set();
    this.#seats.set(taskId, seats.add(seat));
    if (this.#socket === undefined && this.#retry === undefined) this.#connect();
    else {
      this.sayLevel();
      this.#say({ kind: 'wish', packetId: this.#options.packetId, taskId, wish: wishOf(seats) });
    }
    if (this.#mustWait !== undefined) queueMicrotask(() => this.#ruleTo(seat));
    return {
      wants: (isWanting) => {
        const wish = isWanting ? 'something' : 'nothing';
        if (!seats.has(seat) || seat.wish === wish) return;
        const before = wishOf(seats);
        seat.wish = wish;
        this.#sayWish(taskId, seats, before);
      },
      [Symbol.dispose]: () => {
        const before = wishOf(seats);
        if (!seats.delete(seat)) return;
        if (seats.size === 0) this.#seats.delete(taskId);
        this.#sayWish(taskId, seats, before);
        if (this.#seats.size === 0) this.#rest();
      },
    };
  }

  sayLevel(): void {
    if (this.#seats.size === 0 || !this.#isConnected) return;
    const level = this.#level();
    if (level === this.#saidLevel) return;
    this.#saidLevel = level;
    this.#say({ kind: 'level', packetId: this.#options.packetId, level });
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#idle);
    this.#socket?.destroy();
  }

  #ruleTo(seat: Seat): void {
    if (this.#mustWait !== undefined && this.#seats.get(seat.taskId)?.has(seat) === true)
      seat.listener.ruled(this.#mustWait);
  }

  #sayWish(taskId: string, seats: ReadonlySet<Seat>, before: TurnWish): void {
    const wish = wishOf(seats);
    if (wish !== before) this.#say({ kind: 'wish', packetId: this.#options.packetId, taskId, wish });
  }

  #say(frame: TurnRequestFrame): void {
    const socket = this.#socket;
    if (socket === undefined || !this.#isConnected) return;
    socket.write(encodeTurnRequest(frame));
    if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
  }

  #connect(): void {
    if (this.#isClosed) return;
    const { tls: secure, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const where = { ...this.#where, noDelay: true, keepAlive: true };
    const socket: net.Socket =
      secure === undefined ? net.connect(where) : tls.connect({ ...where, ...connectionOptionsOf(secure) });
    this.#socket = socket;
    socket.unref();
    const timer = setTimeout(() => socket.destroy(), connectTimeoutMs).unref();
    const decoder = new TurnAnswerDecoder();
    socket.once(secure === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      this.#connected();
    });
    socket.on('error', () => undefined); // 'close' follows
    socket.on('data', (chunk: Buffer) => {
      try {
        for (let rest: Uint8Array = chunk; rest.length > 0;) {
          const { consumed, frame } = decoder.push(rest);
          rest = rest.subarray(consumed);
          if (frame !== undefined) this.#heard(frame);
        }
      } catch (error) {
        this.#options.logger.debug(
          { parent: this.#where.host, err: error },
          'a parent says of turns what makes no sense',
        );
        socket.destroy();
      }
    });
    socket.once('close', () => {
      clearTimeout(timer);
      this.#broke(socket);
    });
  }

  #connected(): void {
    this.#isConnected = true;
    this.#saidLevel = undefined;
    this.sayLevel();
    for (const [taskId, seats] of this.#seats)
      this.#say({ kind: 'wish', packetId: this.#options.packetId, taskId, wish: wishOf(seats) });
  }

  #heard(frame: TurnAnswerFrame): void {
    this.#failures = 0;
    if (frame.kind === 'rule') {
      // It was on its way when the last one here stopped following.
      if (this.#seats.size === 0) return;
      if (frame.mustWait === this.#mustWait)
        for (const seats of this.#seats.values()) for (const { listener } of seats) listener.serving();
      this.#setRule(frame.mustWait);
      return;
    }
    const { packetId } = this.#options;
    const { offer } = frame;
    const turn: OfferedTurn = {
      endsIn: (ms) => this.#say({ kind: 'ending', packetId, offer, inMs: Math.max(Math.round(ms), 0) }),
    };
    for (const { listener } of [...(this.#seats.get(frame.taskId) ?? [])])
      if (listener.offered(frame.reason, turn)) return;
    this.#say({ kind: 'pass', packetId, offer });
  }

  #setRule(mustWait: boolean): void {
    if (this.#mustWait === mustWait) return;
    this.#mustWait = mustWait;
    for (const seats of [...this.#seats.values()]) for (const seat of [...seats]) this.#ruleTo(seat);
  }

  #broke(socket: net.Socket): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.#isConnected = false;
    if (this.#isClosed) return;
    // Whoever is not told to wait asks: that shows soon enough whether the parent is there.
    this.#setRule(false);
    this.#mustWait = undefined;
    if (this.#seats.size === 0) return this.#onIdle();
    const { reconnectMs = RECONNECT_MS } = this.#options;
    this.#retry = setTimeout(
      () => {
        this.#retry = undefined;
        if (this.#seats.size > 0) this.#connect();
        else this.#onIdle();
      },
      reconnectMs * Math.min(2 ** this.#failures++, MOST_RECONNECTS),
    ).unref();
  }

  #rest(): void {
    // It may be another one by the time somebody follows again, who is told it then.
    this.#mustWait = undefined;
    this.#idle = setTimeout(() => {
      if (this.#seats.size > 0) return;
      this.close();
      this.#onIdle();
    }, this.#options.idleTimeoutMs ?? IDLE_MS).unref();
  }
}

/** What the parent is told for all who follow a task here. */
function wishOf(seats: ReadonlySet<Seat>): TurnWish {
  if (seats.size === 0) return 'over';
  return [...seats].some(({ wish }) => wish === 'something') ? 'something' : 'nothing';
}
