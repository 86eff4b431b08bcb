import { Code, ConnectError } from '@connectrpc/connect';
import type { common } from '@d7y/api';
import { dfdaemon } from '@d7y/api';
import { createHealth, createLogger, listen } from '@d7y/service-kit';

const silent = createLogger({ name: 'fake-daemon', level: 'fatal' });

/** The upload service of a daemon that notes what it is told to download, and holds what it is said to hold. */
export class FakeDaemon implements AsyncDisposable {
  readonly downloads: common.Download[] = [];
  /** Task id → finished. */
  readonly held = new Map<string, boolean>();
  readonly asked: string[] = [];
  files: string[] = [];
  /** Runs within a download, after it has been noted. */
  onDownload: (download: common.Download) => Promise<void> = () => Promise.resolve();
  #listener: Awaited<ReturnType<typeof listen>> | undefined;

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** @param host an address of the loopback network */
  static async start(host = '127.0.0.1'): Promise<FakeDaemon> {
    const fake = new FakeDaemon();
    fake.#listener = await listen({
      host,
      port: 0,
      logger: silent,
      health: createHealth(),
      drainMs: 0,
      grpc: (router) =>
        router.service(dfdaemon.DfdaemonUpload, {
          async *downloadTask({ download }) {
            if (download === undefined) throw new TypeError('no download');
            fake.downloads.push(download);
            const ids = { hostId: 'daemon', taskId: 'task', peerId: 'peer' };
            yield { ...ids, response: { case: 'downloadTaskStartedResponse' as const, value: { contentLength: 1n } } };
            await fake.onDownload(download);
          },
          statLocalTask({ taskId }) {
            fake.asked.push(taskId);
            const isFinished = fake.held.get(taskId);
            if (isFinished === undefined) throw new ConnectError('none', Code.NotFound);
            return { taskId, ...(isFinished ? { finishedAt: { seconds: 1n } } : {}) };
          },
          listTaskEntries: ({ url }) => ({
            entries: [
              ...fake.files.map((name) => ({ url: `${url}${name}`, isDir: false })),
              { url: `${url}d/`, isDir: true },
            ],
          }),
        }),
    });
    return fake;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]();
  }
}
