import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createLogger } from '../observe/logger.ts';
import { CA_PEM, CERT_PEM, KEY_PEM } from './_tls-fixture.ts';
import { listen } from './listen.ts';
import { TlsIdentity } from './tls-identity.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
let directory: string;
let files: { caCert: string; cert: string; key: string };
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'd7y-tls-'));
  files = { caCert: join(directory, 'ca.pem'), cert: join(directory, 'c.pem'), key: join(directory, 'k.pem') };
  writeFileSync(files.caCert, CA_PEM);
  writeFileSync(files.cert, CERT_PEM);
  writeFileSync(files.key, KEY_PEM);
});
afterEach(() => rmSync(directory, { recursive: true }));

const identity = () => new TlsIdentity(files, { section: 'upload.server', logger });

/** Whether a client with this certificate authority and identity gets through the handshake, and past the server's verdict. */
async function isLetIn(port: number, options: object): Promise<boolean> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: 'localhost',
    ca: CA_PEM,
    ALPNProtocols: ['http/1.1'],
    ...options,
  });
  socket.on('error', () => undefined);
  try {
    await once(socket, 'secureConnect');
    socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
    const [answer] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [unknown];
    return Buffer.isBuffer(answer);
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

describe('TlsIdentity', () => {
  it('names key and file of what cannot be used', () => {
    files = { ...files, key: join(directory, 'none.pem') };
    expect(identity).toThrow(/^upload\.server: .*none\.pem: no such file/);
    files = { ...files, key: files.caCert };
    expect(identity).toThrow(/^upload\.server: .*c\.pem, .*ca\.pem: no usable certificate and key/);
  });

  it('lets everybody in when it knows nobody by whom to verify them', async () => {
    using tls = new TlsIdentity({ cert: files.cert, key: files.key }, { section: 'rest.tls', logger });
    await using listener = await listen({ host: '127.0.0.1', tls, logger, drainMs: 0 });
    expect(tls.verifiesOthers).toBe(false);
    expect(await isLetIn(listener.port, {})).toBe(true);
  });

  it('lets in only clients whose certificate it trusts', async () => {
    using tls = identity();
    await using listener = await listen({ host: '127.0.0.1', tls, logger, drainMs: 0 });
    expect(await isLetIn(listener.port, { cert: CERT_PEM, key: KEY_PEM })).toBe(true);
    expect(await isLetIn(listener.port, {})).toBe(false);
  });

  it('takes over files that have changed, and keeps what it has when they are unusable', async () => {
    using tls = identity();
    await tls.check();
    let changes = 0;
    using _watch = tls.onChange(() => changes++);
    writeFileSync(files.cert, 'nonsense');
    await tls.check();
    expect(changes).toBe(0);
    expect(tls.current.cert.toString()).toBe(CERT_PEM);
    writeFileSync(files.cert, `# renewed\n${CERT_PEM}`);
    await tls.check();
    await tls.check();
    expect(changes).toBe(1);
    expect(tls.current.cert.toString()).toContain('renewed');
  });

  it('is followed by its listener', async () => {
    using tls = identity();
    await using listener = await listen({ host: '127.0.0.1', tls, logger, drainMs: 0 });
    const client = { cert: CERT_PEM, key: KEY_PEM };
    // From now on nobody is trusted but the bearer of the certificate itself, which no authority here signed.
    writeFileSync(files.caCert, CERT_PEM);
    await tls.check();
    expect(await isLetIn(listener.port, client)).toBe(false);
    writeFileSync(files.caCert, CA_PEM);
    await tls.check();
    expect(await isLetIn(listener.port, client)).toBe(true);
  });
});
