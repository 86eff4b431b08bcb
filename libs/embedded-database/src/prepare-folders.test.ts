import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { testFolder } from './_folder.ts';
import { serverAccount } from './account.ts';
import { layoutOf } from './layout.ts';
import { reachableSoftware } from './prepare-folders.ts';
import { firstClosedFolder, mayEnter } from './reach.ts';

const stranger = { name: 'stranger', uid: 54_321, gid: 54_321 };

describe('serverAccount', () => {
  const accounts = [
    { name: 'root', uid: 0, gid: 0 },
    { name: 'nobody', uid: 65_534, gid: 65_534 },
    { name: 'postgres', uid: 105, gid: 110 },
  ];
  it.each([
    ['the user itself when that is not root', 1000, undefined, undefined],
    ['postgres for root', 0, undefined, 'postgres'],
    ['the owner of the data for root', 0, 65_534, 'nobody'],
    ['postgres for root when the data was made by root', 0, 0, 'postgres'],
  ])('takes %s', (_, uid, owner, expected) => {
    expect(serverAccount(uid, owner, accounts)?.name).toBe(expected);
  });

  it('takes nobody where there is no postgres', () => {
    expect(serverAccount(0, undefined, accounts.slice(0, 2))?.name).toBe('nobody');
  });

  it('says what is missing', () => {
    expect(() => serverAccount(0, undefined, accounts.slice(0, 1))).toThrow(/no user postgres or nobody/);
    expect(() => serverAccount(0, 4711, accounts)).toThrow(/belongs to user 4711/);
  });
});

describe('firstClosedFolder', () => {
  it('names the first folder that the account may not enter', async () => {
    await using folder = await testFolder();
    mkdirSync(join(folder.path, 'open', 'closed', 'open'), { recursive: true });
    chmodSync(folder.path, 0o711);
    chmodSync(join(folder.path, 'open'), 0o701);
    chmodSync(join(folder.path, 'open', 'closed'), 0o770);
    expect(firstClosedFolder(join(folder.path, 'open', 'closed', 'open', 'file'), stranger)).toBe(
      join(folder.path, 'open', 'closed'),
    );
    expect(firstClosedFolder(join(folder.path, 'open', 'closed'), stranger)).toBeUndefined();
    const { uid, gid } = statSync(folder.path);
    expect(mayEnter(join(folder.path, 'open', 'closed'), { name: 'owner', uid, gid: 1 })).toBe(true);
    expect(mayEnter(join(folder.path, 'open', 'closed'), { name: 'member', uid: 1, gid })).toBe(true);
  });
});

describe('reachableSoftware', () => {
  it('is a copy when the account cannot reach the original, made once', async () => {
    await using folder = await testFolder();
    const software = join(folder.path, 'closed', 'software');
    mkdirSync(join(software, 'bin'), { recursive: true });
    writeFileSync(join(software, 'bin', 'postgres'), 'the program', { mode: 0o755 });
    chmodSync(join(folder.path, 'closed'), 0o700);
    const layout = layoutOf(join(folder.path, 'database'));
    mkdirSync(layout.folder);
    expect(reachableSoftware(software, layout, undefined)).toBe(software);
    expect(reachableSoftware(software, layout, stranger)).toBe(layout.software);
    expect(readFileSync(join(layout.software, 'bin', 'postgres'), 'utf8')).toBe('the program');
    writeFileSync(join(layout.software, 'mark'), '');
    expect(reachableSoftware(software, layout, stranger)).toBe(layout.software);
    expect(existsSync(join(layout.software, 'mark'))).toBe(true);
  });
});
