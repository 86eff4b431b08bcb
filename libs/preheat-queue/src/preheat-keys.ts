import { z } from 'zod';

/** A section whose keys all have defaults: present or not, it is there. */
const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape) => z.object(shape).prefault({} as never);

/** Keys of preheats, the same for managers, which take them in, and workers, which do them. */
export const preheatKeys = {
  tls: section({
    caCert: z.string().default('').describe('certificates that sign those of registries: PEM, or a file'),
    insecureSkipVerify: z.boolean().default(false).describe('believe every registry'),
  }),
  defaultPlatforms: z
    .array(z.string().regex(/^[^/\s]+\/[^/\s]+(\/[^/\s]+)?$/, 'expected os/architecture'))
    .default([])
    .describe('platforms where a job names none; empty: those of the hosts of each cluster'),
  allowPrivateNetworks: z
    .boolean()
    .default(false)
    .describe('preheat from private networks and this machine, too; metadata services stay refused'),
  upstreams: section({
    allow: z
      .array(z.string().min(1))
      .default([])
      .describe('registries and origins that may be preheated; empty for all'),
    deny: z.array(z.string().min(1)).default([]).describe('those that may not; wins over `allow`'),
  }),
  maxLayers: z.int().positive().max(10_000).default(1_000).describe('of one job in one cluster'),
  enableTaskIDBasedBlobDigest: z
    .boolean()
    .default(true)
    .describe(
      'as `proxy.registryMirror.enableTaskIDBasedBlobDigest` of the daemons, so that pulls find what was preheated',
    ),
};
