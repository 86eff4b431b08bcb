import { describe, expect, it } from '@jest/globals';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { ConfigError } from '../config/config-error.ts';
import { describeStartError, StartError } from './start-error.ts';

const systemError = (facts: object) => Object.assign(new Error('EXXX: raw words of the system'), facts);

describe('describeStartError', () => {
  it('names the port that is taken, by a real attempt', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const second = createServer();
    const error = await new Promise((resolve) => second.once('error', resolve).listen(port, '127.0.0.1'));
    taken.close();
    expect(describeStartError(error)).toBe(
      `port ${port} (127.0.0.1) is in use, stop the other process or configure another port`,
    );
  });

  it('names the directory that cannot be made, by a real attempt', () => {
    let error: unknown;
    try {
      mkdirSync('/proc/d7y');
    } catch (caught) {
      error = caught;
    }
    expect(describeStartError(error)).toMatch(
      /^\/proc\/d7y.*: no such file or directory, create it or configure another path$/,
    );
  });

  it.each([
    [{ code: 'EACCES', syscall: 'mkdir', path: '/var/lib/dragonfly' }, '/var/lib/dragonfly: permission denied'],
    [{ code: 'EROFS', syscall: 'mkdir', path: '/data' }, '/data: the file system is read-only'],
    [{ code: 'ENOSPC', syscall: 'write', path: '/data/x' }, '/data/x: no space left on the device'],
    [{ code: 'EACCES', syscall: 'listen', address: '0.0.0.0', port: 80 }, '0.0.0.0:80: no permission to listen there'],
    [
      { code: 'EADDRINUSE', syscall: 'listen', address: '/run/d.sock', port: -1 },
      '/run/d.sock: another process listens',
    ],
    [
      { code: 'EADDRNOTAVAIL', syscall: 'listen', address: '10.9.9.9', port: 80 },
      '10.9.9.9:80: this machine does not have',
    ],
  ])('says what and where for %j', (facts, begin) => {
    const line = describeStartError(systemError(facts));
    expect(line.startsWith(begin)).toBe(true);
    expect(line).not.toContain('raw words');
  });

  it('prints one line whatever it gets, without secrets', () => {
    expect(describeStartError(new ConfigError(['a.yaml:1: x: bad', 'b']))).toBe('a.yaml:1: x: bad (and 1 more)');
    expect(describeStartError(new StartError('tls.ca: missing'))).toBe('tls.ca: missing');
    expect(describeStartError(new Error('first\n  second http://u:p@h/?t=1'))).toBe('first second http://h/?t=*');
    expect(describeStartError('text')).toBe('text');
  });
});
