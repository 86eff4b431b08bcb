/** What others chose (URLs, names) must not steer the terminal. */
export function printable(value: string): string {
  return value.replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
