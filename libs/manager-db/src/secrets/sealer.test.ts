import { describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { Sealer } from './sealer.ts';

const sealer = new Sealer(new Secret('the key'));

describe('Sealer', () => {
  it('opens what it sealed, for the same only', () => {
    const sealed = sealer.seal(new Secret('pässword'), 'job:1');
    expect(sealed).not.toContain('ssword');
    expect(sealer.open(sealed, 'job:1').reveal()).toBe('pässword');
    expect(() => sealer.open(sealed, 'job:2')).toThrow(/sealed for something else/);
  });

  it('never seals twice alike', () => {
    expect(sealer.seal(new Secret('x'), 'job:1')).not.toBe(sealer.seal(new Secret('x'), 'job:1'));
  });

  it('notices every changed character', () => {
    const sealed = sealer.seal(new Secret('credentials'), 'job:1');
    for (let at = 0; at < sealed.length; at++) {
      // The last one of a part may carry bits that mean nothing; a change to another letter of its kind is caught elsewhere.
      const changed = sealed.slice(0, at) + (sealed[at] === '-' ? '_' : '-') + sealed.slice(at + 1);
      let opened: string | undefined;
      try {
        opened = sealer.open(changed, 'job:1').reveal();
      } catch (error) {
        expect(error).toMatchObject({ code: 'SEAL_BROKEN' });
      }
      if (opened !== undefined) expect(Buffer.from(changed.split('.').at(-1) ?? '', 'base64url')).toEqual(Buffer.from(sealed.split('.').at(-1) ?? '', 'base64url')); // prettier-ignore
    }
  });

  it('opens with an earlier key what was sealed with that, and names a key that it does not have', () => {
    const next = new Sealer(new Secret('the next key'), [new Secret('the key')]);
    const sealed = sealer.seal(new Secret('x'), 'job:1');
    expect(next.open(sealed, 'job:1').reveal()).toBe('x');
    expect(() => sealer.open(next.seal(new Secret('x'), 'job:1'), 'job:1')).toThrow(/key [0-9a-f]{8}, which is not/);
    expect(() => sealer.open('nonsense', 'job:1')).toThrow(/no seal/);
  });
});
