export const FRAME_HEADER_BYTES = 9;
export const GRPC_PREFIX_BYTES = 5;
/** Of frames of HTTP/2 (RFC 9113 §6). */
export const TYPE = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const STREAM_ID = 2 ** 31 - 1;

export interface FrameEvents {
  /** Content of a stream, as it comes: a frame may come in several pieces. */
  readonly data: (id: number, piece: Buffer) => void;
  /** A frame is complete. @param payload nothing, where it went to `data` */
  readonly frame: (type: number, flags: number, id: number, payload: Buffer) => void;
}

const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Cuts what a server sends into frames. Content is passed on from where it was read, without a copy: a server may send a hundred megabytes
 * in a second, and what is to be measured is what that costs the server.
 */
export class FrameReader {
  readonly #events: FrameEvents;
  /** Of the frame under way; the start of it may lie in one read and its end in a later one. */
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  /** Of the payload that is still to come. */
  #missing = 0;
  #parts: Buffer[] = [];

  constructor(events: FrameEvents) {
    this.#events = events;
  }

  push(chunk: Buffer): void {
    const header = this.#header;
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        const copied = chunk.copy(header, this.#headerBytes, at);
        this.#headerBytes += copied;
        at += copied;
        if (this.#headerBytes < FRAME_HEADER_BYTES) return;
        this.#missing = header.readUIntBE(0, 3);
      }
      const piece = chunk.subarray(at, at + this.#missing);
      at += piece.length;
      this.#missing -= piece.length;
      this.#take(piece);
    }
  }

  #take(piece: Buffer): void {
    const [type = 0, flags = 0] = [this.#header[3], this.#header[4]];
    const id = this.#header.readUInt32BE(5) & STREAM_ID;
    const isData = type === TYPE.data;
    if (isData && piece.length > 0) this.#events.data(id, piece);
    if (this.#missing > 0) {
      if (!isData) this.#parts.push(Buffer.from(piece));
      return;
    }
    this.#headerBytes = 0;
    const payload = isData ? NOTHING : this.#parts.length === 0 ? piece : Buffer.concat([...this.#parts, piece]);
    this.#parts = [];
    this.#events.frame(type, flags, id, payload);
  }
}

/** Room for messages that come in pieces, of which all readers make use in turn. */
const spare: Buffer[] = [];
const MAX_SPARE = 64;

/** Puts the messages of gRPC together that the content of a stream holds. */
export class MessageReader {
  readonly #onMessage: (bytes: Buffer) => void;
  readonly #prefix = Buffer.alloc(GRPC_PREFIX_BYTES);
  #prefixBytes = 0;
  #room: Buffer = NOTHING;
  #length = 0;
  #filled = 0;

  /** @param onMessage gets bytes that are overwritten after it has returned */
  constructor(onMessage: (bytes: Buffer) => void) {
    this.#onMessage = onMessage;
  }

  push(piece: Buffer): void {
    let at = 0;
    do {
      if (this.#prefixBytes < GRPC_PREFIX_BYTES) {
        const copied = piece.copy(this.#prefix, this.#prefixBytes, at);
        this.#prefixBytes += copied;
        at += copied;
        if (this.#prefixBytes < GRPC_PREFIX_BYTES) return;
        const length = this.#prefix.readUInt32BE(1);
        if (piece.length - at >= length) {
          this.#prefixBytes = 0;
          this.#onMessage(piece.subarray(at, at + length));
          at += length;
          continue;
        }
        const room = spare.pop();
        this.#room = room !== undefined && room.length >= length ? room : Buffer.allocUnsafe(length);
        this.#length = length;
        this.#filled = 0;
      }
      const copied = piece.copy(this.#room, this.#filled, at, at + this.#length - this.#filled);
      this.#filled += copied;
      at += copied;
      if (this.#filled < this.#length) return;
      const room = this.#room;
      this.#room = NOTHING;
      this.#prefixBytes = 0;
      this.#onMessage(room.subarray(0, this.#length));
      if (spare.length < MAX_SPARE) spare.push(room);
    } while (at < piece.length);
  }
}
