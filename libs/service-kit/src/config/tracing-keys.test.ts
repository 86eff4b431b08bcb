import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { tracingKeys, tracingOf } from './tracing-keys.ts';

const schema = z.object(tracingKeys('manager'));

describe('keys of tracing', () => {
  it('send nothing where nothing is said, under the name of the service', () => {
    expect(tracingOf(schema.parse({}))).toEqual({
      ...{ serviceName: 'manager', path: '/v1/traces', headers: {} },
      ...{ endpoint: undefined, protocol: undefined },
    });
  });

  it('say where traces go, with headers that nobody sees', () => {
    const written = {
      protocol: 'grpc',
      endpoint: 'jaeger:4317',
      'service-name': 'a',
      headers: { authorization: 'hidden' },
    };
    const traced = tracingOf(schema.parse(written));
    expect(traced).toMatchObject({ protocol: 'grpc', endpoint: 'jaeger:4317', serviceName: 'a' });
    expect(JSON.stringify(traced)).not.toContain('hidden');
  });

  it.each([{ protocol: 'udp' }, { 'service-name': '' }, { headers: { a: {} } }])('refuse %j', (written) => {
    expect(schema.safeParse(written).success).toBe(false);
  });
});
