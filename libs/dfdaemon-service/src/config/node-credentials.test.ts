import { describe, expect, it } from '@jest/globals';
import { nodeCredentials } from './node-credentials.ts';
import { readDfdaemonConfig } from './read-dfdaemon-config.ts';
import { registryPolicies } from './registry-policies.ts';

async function credentialsOf(registries: string, env: Record<string, string> = {}) {
  const { config } = readDfdaemonConfig({ text: `proxy: { registries: [${registries}] }`, env });
  const find = nodeCredentials(config, await registryPolicies(config));
  return (upstream: string) => find(upstream)['authorization']?.reveal();
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

describe('nodeCredentials', () => {
  it('are for the registry that they are configured for, and for no other', async () => {
    const find = await credentialsOf('{ host: ghcr.io, username: robot, password: "${TOKEN}" }', { TOKEN: 'p:w' });
    expect(find('https://ghcr.io')).toBe(basic('robot:p:w'));
    expect(find('https://ghcr.io.evil.test')).toBeUndefined();
    expect(find('https://quay.io')).toBeUndefined();
  });

  it('find Docker Hub behind its names', async () => {
    const find = await credentialsOf('{ host: docker.io, username: a, password: b }');
    expect(find('https://registry-1.docker.io')).toBe(basic('a:b'));
  });

  it('do not leave in the clear because somebody asks for http', async () => {
    const find = await credentialsOf('{ host: ghcr.io, username: a, password: b }');
    expect(find('http://ghcr.io')).toBeUndefined();
    const plain = await credentialsOf('{ url: "http://registry.local:5000", username: a, password: b }');
    expect(plain('http://registry.local:5000')).toBe(basic('a:b'));
    expect(plain('http://registry.local')).toBeUndefined();
  });

  it('hold for a name and for the address it stands for', async () => {
    const find = await credentialsOf('{ host: hub, url: "https://mirror.test:444", username: a, password: b }');
    expect(find('https://mirror.test:444')).toBe(basic('a:b'));
  });
});
