/** What the proxy counts; whoever runs it gives these their names. */
export interface ProxyMetrics {
  /** Every request received. */
  requestReceived(): void;
  /** Requests answered by an error that was generated here, or cut off. */
  requestFailed(): void;
  /** Requests that went through the engine. */
  requestViaDfdaemon(): void;
  /** Requests refused by a block list. */
  downloadBlocked(): void;
  /** Body bytes sent to clients. */
  bytesSent(bytes: number): void;
}

/** How the bytes of an answer came: straight from the upstream, from this disk, from other peers, from the origin through the engine. */
export type ServedFrom = 'direct' | 'local' | 'remote' | 'source';
