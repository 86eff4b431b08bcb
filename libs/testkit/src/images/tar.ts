/** Sizes in a tar archive are multiples of this. */
const BLOCK_BYTES = 512;

/** Header of one entry in ustar format, owned by root, dated 1970: the same archive every time. */
export function tarHeader(
  name: string,
  sizeBytes: number,
  type: 'file' | 'folder',
  mode = type === 'folder' ? 0o755 : 0o644,
): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  const octal = (offset: number, width: number, value: number) =>
    header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
  header.write(name, 0, 100, 'utf8');
  octal(100, 8, mode);
  octal(108, 8, 0); // owner
  octal(116, 8, 0); // group
  octal(124, 12, sizeBytes);
  octal(136, 12, 0); // time
  header.write(type === 'folder' ? '5' : '0', 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  // The sum is taken with its own field full of spaces.
  header.write(' '.repeat(8), 148, 'latin1');
  octal(
    148,
    7,
    header.reduce((sum, byte) => sum + byte, 0),
  );
  return header;
}

/** What follows a file's content up to the next header. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** What ends an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES);
}
