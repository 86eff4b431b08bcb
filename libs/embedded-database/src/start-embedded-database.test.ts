import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { Secret, StartError } from '@d7y/service-kit';
import { query, testFolder, until } from './_folder.ts';
import { isServerOf, notedServer } from './leftover.ts';
import { startEmbeddedDatabase } from './start-embedded-database.ts';

const DEBIAN = '/usr/lib/postgresql/15';
const start = (folder: string, others: { software?: string; onUnexpectedEnd?: (reason: string) => void } = {}) =>
  startEmbeddedDatabase({ folder, durable: false, ...others });

/** A process of its own that owns the database. */
async function startOwner(folder: string) {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const program = fileURLToPath(new URL('./_owner.ts', import.meta.url));
  const child = spawn(process.execPath, ['--conditions=@d7y/source', program, folder], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return {
    serverPid: Number(line),
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** Those that wait for the end of whoever started the server of this data. */
function watchersOf(data: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return command.startsWith('/bin/sh\0') && command.includes(data);
      } catch {
        return false;
      }
    });
}

describe('startEmbeddedDatabase', () => {
  it.each([['from npm', undefined], ...(existsSync(DEBIAN) ? [['of Debian', DEBIAN] as const] : [])])(
    'keeps what was written from run to run, with PostgreSQL %s',
    async (_, software) => {
      await using folder = await testFolder();
      const options = software === undefined ? {} : { software };
      {
        await using first = await start(join(folder.path, 'database'), options);
        expect(first.isNew).toBe(true);
        const address = await first.createDatabase('manager');
        await query(address, 'create table t (x int); insert into t values (7)');
      }
      await using second = await start(join(folder.path, 'database'), options);
      expect(second.isNew).toBe(false);
      const address = await second.createDatabase('manager');
      expect(await query(address, 'select x from t')).toEqual([{ x: 7 }]);
      const copy = await second.createDatabase('copy', 'manager');
      expect(await query(copy, 'select x from t')).toEqual([{ x: 7 }]);
      await second.dropDatabase('copy');
      await expect(query(copy, 'select 1')).rejects.toMatchObject({ code: '3D000' });
    },
  );

  it('lets nobody in without the password, listens on no port, and shows the password to its owner only', async () => {
    await using folder = await testFolder();
    await using database = await start(join(folder.path, 'database'));
    const address = database.address('postgres');
    await expect(query({ ...address, password: new Secret('wrong') }, 'select 1')).rejects.toMatchObject({
      code: '28P01',
    });
    expect(await query(address, `select current_setting('listen_addresses') as at`)).toEqual([{ at: '' }]);
    expect(statSync(join(folder.path, 'database', 'password')).mode & 0o777).toBe(0o600);
    expect(statSync(address.host).mode & 0o777).toBe(0o700);
    expect(JSON.stringify(address)).toContain('[secret]');
  });

  it('ends with a process that is killed, and begins again with what was there', async () => {
    await using folder = await testFolder();
    const path = join(folder.path, 'database');
    const owner = await startOwner(path);
    expect(isServerOf(owner.serverPid, join(path, 'data'))).toBe(true);
    await owner.kill();
    await until(() => !isServerOf(owner.serverPid, join(path, 'data')));
    await using again = await start(path);
    expect(again.isNew).toBe(false);
    expect(await query(again.address('kept'), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('ends a server that outlived the process that started it', async () => {
    await using folder = await testFolder();
    const path = join(folder.path, 'database');
    const data = join(path, 'data');
    const owner = await startOwner(path);
    for (const watcher of watchersOf(data)) process.kill(watcher, 'SIGKILL');
    await owner.kill();
    expect(isServerOf(owner.serverPid, data)).toBe(true);
    await using again = await start(path);
    expect(isServerOf(owner.serverPid, data)).toBe(false);
    expect(await query(again.address('kept'), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('believes no note of a server whose process id now belongs to another program', async () => {
    await using folder = await testFolder();
    const path = join(folder.path, 'database');
    await (await start(path))[Symbol.asyncDispose]();
    writeFileSync(join(path, 'data', 'postmaster.pid'), `${process.pid}\n`);
    await using again = await start(path);
    expect(notedServer(join(path, 'data'))).toBe(again.pid);
  });

  it('is started again when it ends by itself', async () => {
    await using folder = await testFolder();
    const reasons: string[] = [];
    const onUnexpectedEnd = (reason: string) => void reasons.push(reason);
    await using database = await start(join(folder.path, 'database'), { onUnexpectedEnd });
    const before = database.pid;
    process.kill(before, 'SIGKILL');
    await until(async () => {
      try {
        await query(database.address('postgres'), 'select 1');
        return database.pid !== before;
      } catch {
        return false;
      }
    });
    expect(reasons[0]).toContain('SIGKILL');
  });

  it('refuses a folder that another process uses, and names it', async () => {
    await using folder = await testFolder();
    await using _first = await start(join(folder.path, 'database'));
    const refused = start(join(folder.path, 'database'));
    await expect(refused).rejects.toThrow(StartError);
    await expect(refused).rejects.toThrow(new RegExp(`in use by process ${process.pid}`));
  });

  it('says so when the file of the password was lost or changed', async () => {
    await using folder = await testFolder();
    const path = join(folder.path, 'database');
    await (await start(path))[Symbol.asyncDispose]();
    writeFileSync(join(path, 'password'), 'another\n');
    await expect(start(path)).rejects.toThrow(/another password than its file/);
    await until(() => notedServer(join(path, 'data')) === undefined);
  });

  it('works below a folder with a long name', async () => {
    await using folder = await testFolder();
    chmodSync(folder.path, 0o711);
    await using database = await start(join(folder.path, 'a'.repeat(120), 'database'));
    expect(await query(database.address('postgres'), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('leaves nothing running when it is told to stop while it starts', async () => {
    await using folder = await testFolder();
    const path = join(folder.path, 'database');
    await (await start(path))[Symbol.asyncDispose]();
    const stop = new AbortController();
    const starting = startEmbeddedDatabase({ folder: path, durable: false, signal: stop.signal });
    await until(() => notedServer(join(path, 'data')) !== undefined);
    stop.abort(new Error('stop'));
    await starting.then(
      (started) => started[Symbol.asyncDispose](),
      () => undefined,
    );
    expect(notedServer(join(path, 'data'))).toBeUndefined();
  });
});
