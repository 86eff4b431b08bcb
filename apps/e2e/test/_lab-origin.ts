import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { ChildProgram, eventually, type LabHost, onHost, run } from '@d7y/testkit';

const PORT = 5000;

/** Serves one file under any path, with ranges; tells under /sent how many bytes of it were sent. */
const SERVER = `
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
const [file, port] = process.argv.slice(2);
const { size } = statSync(file);
let sent = 0;
createServer((request, response) => {
  if (request.url === '/sent') return response.end(String(sent));
  const range = /^bytes=(\\d+)-(\\d*)$/.exec(request.headers.range ?? '');
  const start = Number(range?.[1] ?? 0);
  const end = Math.min(Number(range?.[2] || size - 1), size - 1);
  const headers = { 'content-length': end - start + 1, 'accept-ranges': 'bytes' };
  if (range) headers['content-range'] = 'bytes ' + start + '-' + end + '/' + size;
  response.writeHead(range ? 206 : 200, headers);
  if (request.method === 'HEAD') return response.end();
  createReadStream(file, { start, end }).on('data', (chunk) => (sent += chunk.length)).pipe(response);
}).listen(Number(port), '0.0.0.0');
`;

/** A web server on a machine of a lab. */
export interface LabOrigin extends AsyncDisposable {
  readonly url: string;
  /** Bytes of the file that left it so far. */
  sentBytes(): Promise<number>;
}

/** @param dir folder for its script; @param file what it serves */
export async function startLabOrigin(host: LabHost, dir: string, file: string): Promise<LabOrigin> {
  const script = join(dir, 'origin.mjs');
  await writeFile(script, SERVER);
  const [command = '', ...args] = onHost(host, process.execPath, [script, file, String(PORT)]);
  const program = await ChildProgram.start(command, args, { name: 'origin', env: { NODE_OPTIONS: '' } });
  const sentBytes = async (): Promise<number> => {
    const [asker = '', ...rest] = onHost(host, 'curl', ['-sS', '--noproxy', '*', `http://127.0.0.1:${PORT}/sent`]);
    return Number((await run(asker, rest)).stdout);
  };
  try {
    await eventually(sentBytes);
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
  return { url: `http://${host.ip}:${PORT}`, sentBytes, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}
