import { request } from 'node:http';

/** What a daemon's status says that the proof needs. */
export interface TrafficStatus {
  readonly bytes: { readonly fromSource: number; readonly fromPeers: number; readonly uploaded: number };
  readonly schedulers: readonly { readonly address: string; readonly reachable: boolean }[];
}

/** Asks a daemon over its socket how it is; ends after 5 s without an answer. */
export async function readStatus(socketPath: string): Promise<TrafficStatus> {
  const { promise, resolve, reject } = Promise.withResolvers<TrafficStatus>();
  const call = request({ socketPath, path: '/status', timeout: 5000 }, (answer) => {
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.on('error', reject);
    answer.on('end', () => {
      if (answer.statusCode === 200) resolve(JSON.parse(Buffer.concat(chunks).toString()) as TrafficStatus);
      else reject(new Error(`${socketPath}: /status answered ${answer.statusCode ?? 'nothing'}`));
    });
  });
  call.on('timeout', () => call.destroy(new Error(`${socketPath}: no status within 5 s`)));
  call.on('error', reject);
  call.end();
  return promise;
}
