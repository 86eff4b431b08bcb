/** A copy with one bit of byte `at` changed, or the same bytes when `at` lies elsewhere: the bytes given may be shared. */
export function flipBit(bytes: Buffer, at: number): Buffer {
  if (at < 0 || at >= bytes.length) return bytes;
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}
