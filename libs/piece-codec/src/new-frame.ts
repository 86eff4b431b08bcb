import { FrameFieldError } from './errors.ts';
import { HEADER_BYTES } from './layout.ts';

/** A frame with its header, and room for its value. @throws {FrameFieldError} when the packet id is not a byte */
export function newFrame(packetId: number, tag: number, valueBytes: number): { bytes: Uint8Array; view: DataView } {
  checkInteger('packet id', packetId, 0, 255);
  const bytes = new Uint8Array(HEADER_BYTES + valueBytes);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, packetId);
  view.setUint8(1, tag);
  view.setUint32(2, valueBytes);
  return { bytes, view };
}

/** @throws {FrameFieldError} */
export function checkTaskId(taskId: string): void {
  if (!/^[\x21-\x7e]{64}$/.test(taskId)) throw new FrameFieldError('task id', '64 printable ASCII characters');
}

/** @throws {FrameFieldError} */
export function checkInteger(field: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new FrameFieldError(field, `an integer from ${min} to ${max}`);
  }
}
