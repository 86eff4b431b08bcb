import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { ChildProgram } from '../process/child-program.ts';
import { eventually } from '../process/eventually.ts';
import { requirePrograms } from '../process/programs.ts';
import { freePort } from '../scratch/free-ports.ts';
import { tempDir } from '../scratch/temp-dir.ts';

export interface RedisServerOptions {
  /** Keeps what it is told on its disk, as production does (append-only file, flushed every second). */
  readonly isPersistent?: boolean;
  readonly password?: string;
}

/** A real Redis (redis-server of Debian) with a directory of its own. */
export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:<port>`. */
  readonly addr: string;
  /** kill -9. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, with what is on its disk. */
  restart(): Promise<void>;
}

/** Starts a Redis on a free port of loopback and waits until it answers. */
export async function startRedisServer({
  isPersistent = false,
  password,
}: RedisServerOptions = {}): Promise<RedisServer> {
  requirePrograms(['redis-server']);
  await using stack = new AsyncDisposableStack();
  const dir = join(stack.use(await tempDir('d7y-redis')).path, 'data');
  await mkdir(dir);
  const port = await freePort();
  const args = [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--maxmemory-policy', 'noeviction'],
    ...['--appendonly', isPersistent ? 'yes' : 'no', '--appendfsync', 'everysec'],
    ...(password === undefined ? [] : ['--requirepass', password]),
  ];
  const start = async (): Promise<ChildProgram> => {
    const program = await ChildProgram.start('redis-server', args, { stopTimeoutMs: 5_000 });
    await eventually(async () => {
      program.throwIfEnded();
      await ping(port, password);
    });
    return program;
  };
  let program = await start();
  stack.defer(() => program[Symbol.asyncDispose]());
  const running = stack.move();
  return {
    port,
    addr: `127.0.0.1:${port}`,
    async kill() {
      await program.kill('SIGKILL');
    },
    async restart() {
      program = await start();
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Rejects unless it answers, with all that is on its disk read. */
function ping(port: number, password: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.once('error', fail);
    socket.setTimeout(1_000, () => fail(new Error('no answer')));
    let text = '';
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      if (text.includes('+PONG')) {
        socket.destroy();
        resolve();
      } else if (/^-/m.test(text)) {
        fail(new Error(text));
      }
    });
    socket.write(`${password === undefined ? '' : `AUTH ${password}\r\n`}PING\r\n`);
  });
}
