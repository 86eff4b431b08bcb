import { describeSwarmLink } from '../conformance/swarm-link.ts';
import { MemorySwarm } from './memory-swarm.ts';

describeSwarmLink('MemorySwarm', () => {
  const swarm = new MemorySwarm();
  const turn = (isUp: boolean) => Promise.resolve(void (swarm.isUp = isUp));
  return Promise.resolve({
    a: swarm.linkOf('a'),
    b: swarm.linkOf('b'),
    hostIdOfA: 'a',
    cut: () => turn(false),
    restore: () => turn(true),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});
