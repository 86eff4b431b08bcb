import { describe, expect, it } from '@jest/globals';
import { onHost } from '../src/network-lab/network-lab.ts';

describe('onHost', () => {
  it('runs a program within the namespace of its host', () => {
    const host = { netns: 'lab-0' };
    expect(onHost(host, 'curl', ['-s'])).toEqual(['nsenter', '--net=/run/netns/lab-0', 'curl', '-s']);
  });

  it('leaves a program alone that has no host', () => {
    expect(onHost(undefined, 'curl', ['-s'])).toEqual(['curl', '-s']);
  });
});
