import { describe, expect, it } from '@jest/globals';
import { AccessMemory } from './access-memory.ts';
import type { AccessSource, KnownUser } from './access-source.ts';

const ada: KnownUser = { id: 1, name: 'ada', state: 'enable', passwordChangedAt: undefined, roles: ['guest'] };

function rig() {
  const asked: string[] = [];
  const answers = { user: async (): Promise<KnownUser | undefined> => ada };
  const source: AccessSource = {
    user: async (id) => {
      asked.push(`user ${id}`);
      return answers.user();
    },
    isRevoked: async (id) => asked.push(`session ${id}`) > 99,
    token: async (hash) => {
      asked.push(`token ${hash}`);
      return undefined;
    },
    permissions: async () => {
      asked.push('permissions');
      return new Map();
    },
  };
  return { asked, answers, memory: new AccessMemory(source, { ttlMs: 60_000 }) };
}

describe('AccessMemory', () => {
  it('asks once for what it is asked often, also for what is not there', async () => {
    const { asked, memory } = rig();
    await Promise.all([memory.user(1), memory.user(1), memory.user(2)]);
    for (let n = 0; n < 2; n++) {
      expect(await memory.token('x')).toBeUndefined();
      expect(await memory.isRevoked('s')).toBe(false);
      await memory.permissions();
    }
    expect(asked.sort()).toEqual(['permissions', 'session s', 'token x', 'user 1', 'user 2']);
  });

  it('asks anew after it was told of a change', async () => {
    const { asked, answers, memory } = rig();
    await memory.user(1);
    answers.user = async () => ({ ...ada, roles: ['root'] });
    memory.forget();
    expect((await memory.user(1))?.roles).toEqual(['root']);
    expect(asked).toEqual(['user 1', 'user 1']);
  });

  it('does not keep an answer that is older than a change', async () => {
    const { answers, memory } = rig();
    const first = Promise.withResolvers<KnownUser>();
    answers.user = () => first.promise;
    const early = memory.user(1);
    answers.user = async () => ({ ...ada, state: 'disable' });
    memory.forget();
    first.resolve(ada);
    await early;
    expect((await memory.user(1))?.state).toBe('disable');
  });

  it('does not remember that asking failed', async () => {
    const { answers, memory } = rig();
    answers.user = async () => {
      throw new Error('away');
    };
    await expect(memory.user(1)).rejects.toThrow('away');
    answers.user = async () => ada;
    expect(await memory.user(1)).toEqual(ada);
  });
});
