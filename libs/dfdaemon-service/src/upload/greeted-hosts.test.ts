import { describe, expect, it } from '@jest/globals';
import { GreetedHosts } from './greeted-hosts.ts';

describe('GreetedHosts', () => {
  it('knows who has said Hello', () => {
    const greeted = new GreetedHosts();
    greeted.greetedBy('10.0.0.1-a');
    expect([greeted.has('10.0.0.1-a'), greeted.has('10.0.0.2-b')]).toEqual([true, false]);
  });

  it('keeps nothing that cannot be a host, and forgets the oldest of very many', () => {
    const greeted = new GreetedHosts();
    const endless = 'x'.repeat(10_000);
    for (const hostId of ['', endless]) greeted.greetedBy(hostId);
    expect([greeted.has(''), greeted.has(endless)]).toEqual([false, false]);
    greeted.greetedBy('first');
    greeted.greetedBy('second');
    for (let index = 0; index < 8_191; index++) {
      greeted.greetedBy(`host-${index}`);
      greeted.greetedBy('second');
    }
    expect([greeted.has('first'), greeted.has('second'), greeted.has('host-8190')]).toEqual([false, true, true]);
  });
});
