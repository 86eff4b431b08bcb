import { create } from '@bufbuild/protobuf';
import { durationFromMs, durationMs, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { common } from '@d7y/api';
import type { PieceReport, TrafficType } from '@d7y/piece';

const TO_WIRE = {
  backToSource: common.TrafficType.BACK_TO_SOURCE,
  remotePeer: common.TrafficType.REMOTE_PEER,
  localPeer: common.TrafficType.LOCAL_PEER,
} as const satisfies Record<TrafficType, common.TrafficType>;

const FROM_WIRE: Readonly<Record<number, TrafficType>> = {
  [common.TrafficType.BACK_TO_SOURCE]: 'backToSource',
  [common.TrafficType.REMOTE_PEER]: 'remotePeer',
  [common.TrafficType.LOCAL_PEER]: 'localPeer',
};

/** A piece as common.v2.Piece, cost and creation time always set: stock schedulers refuse messages without them. */
export function toPieceMessage(piece: PieceReport): common.Piece {
  return create(common.PieceSchema, {
    number: piece.number,
    offset: BigInt(piece.offset),
    length: BigInt(piece.length),
    digest: piece.digest,
    trafficType: TO_WIRE[piece.trafficType],
    cost: durationFromMs(Math.max(0, Math.round(piece.costMs))),
    createdAt: timestampFromMs(Math.round(piece.createdAtMs)),
    ...(piece.parentId ? { parentId: piece.parentId } : {}),
  });
}

/** A common.v2.Piece as record; undefined when its numbers cannot be those of a piece. */
export function toPieceReport(piece: common.Piece): PieceReport | undefined {
  const offset = Number(piece.offset);
  const length = Number(piece.length);
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(offset + length)) return undefined;
  return {
    number: piece.number,
    offset,
    length,
    digest: piece.digest,
    parentId: piece.parentId === '' ? undefined : piece.parentId,
    trafficType: FROM_WIRE[piece.trafficType ?? common.TrafficType.BACK_TO_SOURCE] ?? 'backToSource',
    costMs: piece.cost === undefined ? 0 : durationMs(piece.cost),
    createdAtMs: piece.createdAt === undefined ? 0 : timestampMs(piece.createdAt),
  };
}
