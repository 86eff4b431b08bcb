import { describe, expect, it } from '@jest/globals';
import { readinessOf } from './readiness.ts';

const there = () => Promise.resolve();
const away = () => Promise.reject(new Error('connection refused'));
const silent = () => new Promise<void>(() => undefined);
const all = { isServing: () => true, pingDatabase: there, pingQueue: there };

describe('readinessOf', () => {
  it('is OK with all that a manager needs', async () => {
    expect(await readinessOf(all)).toEqual({ isReady: true, says: 'OK' });
  });

  it.each([['refuses', away] as const, ['is silent', silent] as const])(
    'names the database that %s, and the queue, without which a manager serves',
    async (_, ping) => {
      const [database, queue] = await Promise.all([
        readinessOf({ ...all, pingDatabase: ping }),
        readinessOf({ ...all, pingQueue: ping }),
      ]);
      expect(database).toEqual({ isReady: false, says: 'the database cannot be reached' });
      expect(queue).toEqual({ isReady: true, says: 'OK, but jobs wait: the queue cannot be reached' });
    },
  );

  it('asks nobody before the start is over', async () => {
    expect(await readinessOf({ isServing: () => false, pingDatabase: silent, pingQueue: silent })).toEqual({
      ...{ isReady: false, says: 'not ready' },
    });
  });
});
