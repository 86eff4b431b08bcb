/** Piece server as `ip:port`, IPv6 in brackets. */
export function pieceAddressOf({ ip, tcpPort }: { readonly ip: string; readonly tcpPort: number }): string {
  return `${ip.includes(':') ? `[${ip}]` : ip}:${tcpPort}`;
}
