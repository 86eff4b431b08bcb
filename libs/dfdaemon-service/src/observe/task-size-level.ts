const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Upper ends, exclusive, of the levels 1, 2, … in bytes. */
const ENDS = [
  ...[1, 4, 8, 16, 32, 64, 128, 256, 512].map((count) => count * MIB),
  ...[1, 4, 8, 16, 32, 64, 128, 256, 512, 1024].map((count) => count * GIB),
];

/** Class of a content length for the label `task_size_level`: 0 for nothing, 1 below 1 MiB … 20 from 1 TiB on. */
export function taskSizeLevel(bytes: number): string {
  if (bytes <= 0) return '0';
  const index = ENDS.findIndex((end) => bytes < end);
  return String(index === -1 ? ENDS.length + 1 : index + 1);
}
