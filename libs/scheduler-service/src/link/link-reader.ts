import type { swarm } from '@d7y/api';
import { UnusualMessage, unusual, WireReader } from '../messages/wire-reader.ts';
import { EncodedSource } from '../messages/encoded-source.ts';

/** Field number and wire type of the kinds that are read here: numbers (0) and what has a length (2). */
const REQUEST = { register: 0x5a, started: 0x62, havePieces: 0x6a, finished: 0x82 } as const;

/**
 * Reads the messages of daemons that come most: registrations, and what becomes of them. What a task's source says is read only when somebody
 * asks for it.
 * @returns undefined for all others, and for what is in any way out of the ordinary
 */
export function readLinkRequest(bytes: Buffer): swarm.LinkRequest | undefined {
  try {
    const reader = new WireReader(bytes);
    const request = readRequest(reader);
    if (request === undefined || reader.hasMore) return undefined;
    return { $typeName: 'd7y.swarm.v1.LinkRequest', request };
  } catch (error) {
    if (error instanceof UnusualMessage) return undefined;
    throw error;
  }
}

function readRequest(reader: WireReader): swarm.LinkRequest['request'] | undefined {
  switch (reader.number()) {
    case REQUEST.register:
      return { case: 'register', value: reader.message(register) };
    case REQUEST.started:
      return { case: 'started', value: reader.message(started) };
    case REQUEST.havePieces:
      return { case: 'havePieces', value: reader.message(havePieces) };
    case REQUEST.finished:
      return { case: 'finished', value: reader.message(finished) };
    default:
      return undefined;
  }
}

function register(reader: WireReader): swarm.Register {
  const message: swarm.Register = {
    $typeName: 'd7y.swarm.v1.Register',
    peerNumber: 0,
    taskId: '',
    peerId: '',
    priority: 0,
    needBackToSource: false,
    metadataOnly: false,
    traceparent: '',
  };
  while (reader.hasMore) {
    switch (reader.number()) {
      case 0x08:
        message.peerNumber = reader.uint32();
        break;
      case 0x12:
        message.taskId = reader.text();
        break;
      case 0x1a:
        message.peerId = reader.text();
        break;
      case 0x22:
        // Parts of a message that come one by one are one message.
        if (message.source !== undefined) return unusual();
        message.source = new EncodedSource(reader.characters());
        break;
      case 0x28:
        message.priority = reader.uint32();
        break;
      case 0x30:
        message.contentLength = BigInt(reader.number());
        break;
      case 0x38:
        message.pieceLength = BigInt(reader.number());
        break;
      case 0x42:
        if (message.range !== undefined) return unusual();
        message.range = reader.message(span);
        break;
      case 0x48:
        message.needBackToSource = reader.flag();
        break;
      case 0x50:
        message.metadataOnly = reader.flag();
        break;
      case 0x5a:
        if (message.held !== undefined) return unusual();
        message.held = reader.message(bitmap);
        break;
      case 0x62:
        message.traceparent = reader.text();
        break;
      default:
        return unusual();
    }
  }
  return message;
}

function started(reader: WireReader): swarm.Started {
  const message: swarm.Started = { $typeName: 'd7y.swarm.v1.Started', peerNumber: 0, fromOrigin: false };
  while (reader.hasMore) {
    switch (reader.number()) {
      case 0x08:
        message.peerNumber = reader.uint32();
        break;
      case 0x10:
        message.fromOrigin = reader.flag();
        break;
      default:
        return unusual();
    }
  }
  return message;
}

function havePieces(reader: WireReader): swarm.HavePieces {
  const message: swarm.HavePieces = { $typeName: 'd7y.swarm.v1.HavePieces', peerNumber: 0, deliveries: [] };
  while (reader.hasMore) {
    switch (reader.number()) {
      case 0x08:
        message.peerNumber = reader.uint32();
        break;
      case 0x12:
        if (message.pieces !== undefined) return unusual();
        message.pieces = reader.message(bitmap);
        break;
      case 0x1a:
        message.deliveries.push(reader.message(delivery));
        break;
      default:
        return unusual();
    }
  }
  return message;
}

function finished(reader: WireReader): swarm.Finished {
  const message: swarm.Finished = {
    $typeName: 'd7y.swarm.v1.Finished',
    peerNumber: 0,
    fromOrigin: false,
    deliveries: [],
  };
  while (reader.hasMore) {
    switch (reader.number()) {
      case 0x08:
        message.peerNumber = reader.uint32();
        break;
      case 0x10:
        message.fromOrigin = reader.flag();
        break;
      case 0x1a:
        if (message.pieces !== undefined) return unusual();
        message.pieces = reader.message(bitmap);
        break;
      case 0x22:
        message.deliveries.push(reader.message(delivery));
        break;
      default:
        return unusual();
    }
  }
  return message;
}

function delivery(reader: WireReader): swarm.Delivery {
  const message: swarm.Delivery = {
    $typeName: 'd7y.swarm.v1.Delivery',
    parentNumber: 0,
    parentId: '',
    pieces: 0,
    bytes: 0n,
    durationMs: 0n,
  };
  while (reader.hasMore) {
    switch (reader.number()) {
      case 0x08:
        message.parentNumber = reader.uint32();
        break;
      case 0x12:
        message.parentId = reader.text();
        break;
      case 0x18:
        message.pieces = reader.uint32();
        break;
      case 0x20:
        message.bytes = BigInt(reader.number());
        break;
      case 0x28:
        message.durationMs = BigInt(reader.number());
        break;
      default:
        return unusual();
    }
  }
  return message;
}

function bitmap(reader: WireReader): swarm.PieceBitmap {
  const message: swarm.PieceBitmap = { $typeName: 'd7y.swarm.v1.PieceBitmap', runs: [] };
  while (reader.hasMore) {
    if (reader.number() !== 0x0a) return unusual();
    message.runs.push(reader.message(run));
  }
  return message;
}

const NO_BYTES = new Uint8Array(0);

function run(reader: WireReader): swarm.PieceRun {
  const message: swarm.PieceRun = { $typeName: 'd7y.swarm.v1.PieceRun', first: 0, count: 0, bits: NO_BYTES };
  while (reader.hasMore) {
    switch (reader.number()) {
      case 0x08:
        message.first = reader.uint32();
        break;
      case 0x10:
        message.count = reader.uint32();
        break;
      case 0x1a:
        message.bits = reader.bytes();
        break;
      default:
        return unusual();
    }
  }
  return message;
}

function span(reader: WireReader): swarm.Span {
  const message: swarm.Span = { $typeName: 'd7y.swarm.v1.Span', start: 0n, length: 0n };
  while (reader.hasMore) {
    switch (reader.number()) {
      case 0x08:
        message.start = BigInt(reader.number());
        break;
      case 0x10:
        message.length = BigInt(reader.number());
        break;
      default:
        return unusual();
    }
  }
  return message;
}
