import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ChildProgram,
  eventually,
  findProgram,
  freePort,
  type LabHost,
  onHost,
  requirePrograms,
  run,
  tempDir,
} from '@d7y/testkit';

/** An nginx that serves a folder from one process. */
export interface Nginx extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Body bytes of all answers so far; only with a log. */
  sentBytes(): Promise<number>;
  /** Answers so far; only with a log. */
  requests(): Promise<number>;
}

/**
 * Starts nginx as it is fastest: sendfile, one process, no log unless asked for.
 * @param root folder to serve
 * @param options.host where it runs, in a network lab; on loopback unless given
 */
export async function startNginx(
  root: string,
  { log = false, host }: { log?: boolean; host?: LabHost } = {},
): Promise<Nginx> {
  requirePrograms(['nginx', 'curl']);
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir('d7y-nginx')).path;
  const port = await freePort();
  const ip = host?.ip ?? '127.0.0.1';
  const accessLog = join(dir, 'access.log');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${dir}/${name};`,
  );
  const config = [
    'daemon off; master_process off; worker_processes 1;',
    `pid ${dir}/nginx.pid; error_log stderr;`,
    'events { worker_connections 256; }',
    'http {',
    ...temporary,
    'sendfile on; tcp_nopush on; keepalive_timeout 65; log_format sent "$body_bytes_sent";',
    log ? `access_log ${accessLog} sent;` : 'access_log off;',
    `server { listen ${ip}:${port}; root ${root}; }`,
    '}',
  ];
  const file = join(dir, 'nginx.conf');
  await writeFile(file, config.join('\n'));
  const [command = '', ...args] = onHost(host, findProgram('nginx') ?? 'nginx', [
    '-p',
    dir,
    '-c',
    file,
    '-e',
    'stderr',
  ]);
  const program = stack.use(await ChildProgram.start(command, args, { name: 'nginx' }));
  const url = `http://${ip}:${port}`;
  await eventually(async () => {
    program.throwIfEnded();
    const ask = ['--silent', '--output', '/dev/null', '--max-time', '2', '--noproxy', '*', url];
    const [asker = '', ...rest] = onHost(host, 'curl', ask);
    await run(asker, rest);
  });
  if (log) await writeFile(accessLog, '');
  const resources = stack.move();
  const sizes = async () =>
    (await readFile(accessLog, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map(Number);
  return {
    url,
    pid: program.pid,
    sentBytes: async () => (await sizes()).reduce((sum, bytes) => sum + bytes, 0),
    requests: async () => (await sizes()).length,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
