import type { MessageInitShape } from '@bufbuild/protobuf';
import type { swarm } from '@d7y/api';

/** The SHA-256 of a piece, and who vouches for it. */
export interface VoucherFacts {
  /** Counted from 0. */
  readonly pieceNumber: number;
  /** 64 lower-case hex digits. */
  readonly sha256: string;
  readonly hostId: string;
}

/** Vouchers of one task, all on one piece grid. */
export interface VoucherBatchFacts {
  /** Bytes. */
  readonly contentLength: number;
  /** Bytes. */
  readonly pieceLength: number;
  readonly vouchers: readonly VoucherFacts[];
}

/** As any message says it that carries vouchers. */
interface VoucherBatchMessage {
  readonly contentLength: bigint;
  readonly pieceLength: bigint;
  readonly vouchers: readonly swarm.PieceVoucher[];
}

/** More in one message are not read; senders keep far below. */
const MAX_VOUCHERS_PER_MESSAGE = 8_192;
const SHA256_BYTES = 32;

/**
 * Reads what a message vouches for.
 * @param senderHostId who vouches where the message names nobody
 * @returns undefined for what cannot be: too many vouchers, digests of another length, impossible sizes
 */
export function parseVouchers(message: VoucherBatchMessage, senderHostId: string): VoucherBatchFacts | undefined {
  const contentLength = Number(message.contentLength);
  const pieceLength = Number(message.pieceLength);
  if (!Number.isSafeInteger(contentLength) || !Number.isSafeInteger(pieceLength) || pieceLength < 1) return undefined;
  if (message.vouchers.length > MAX_VOUCHERS_PER_MESSAGE) return undefined;
  const vouchers: VoucherFacts[] = [];
  for (const { pieceNumber, sha256, hostId } of message.vouchers) {
    if (sha256.byteLength !== SHA256_BYTES) return undefined;
    vouchers.push({ pieceNumber, sha256: Buffer.from(sha256).toString('hex'), hostId: hostId || senderHostId });
  }
  return { contentLength, pieceLength, vouchers };
}

/** @param senderHostId vouchers of the sender itself go without a name */
export function toVoucherMessage(
  { contentLength, pieceLength, vouchers }: VoucherBatchFacts,
  senderHostId?: string,
): Required<Pick<MessageInitShape<typeof swarm.TaskVouchersSchema>, 'contentLength' | 'pieceLength'>> & {
  readonly vouchers: MessageInitShape<typeof swarm.PieceVoucherSchema>[];
} {
  return {
    contentLength: BigInt(contentLength),
    pieceLength: BigInt(pieceLength),
    vouchers: vouchers.map(({ pieceNumber, sha256, hostId }) => ({
      pieceNumber,
      sha256: Buffer.from(sha256, 'hex'),
      hostId: hostId === senderHostId ? '' : hostId,
    })),
  };
}
