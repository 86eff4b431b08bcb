import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readConfig, replaceFile } from '@d7y/service-kit';
import { z } from 'zod';
import { type ClusterSettings, clusterSettingsSchema } from './cluster-settings.ts';

/** `LEVEL3` and 3 are the same priority. */
const priority = z
  .union([z.int().min(0).max(6), z.string().regex(/^LEVEL[0-6]$/, 'expected LEVEL0 to LEVEL6')])
  .transform((value) => (typeof value === 'number' ? value : Number(value.slice('LEVEL'.length))));

/** The file that stands in for a manager. */
const fileSchema = z.object({
  applications: z
    .array(
      z.object({
        name: z.string().min(1),
        priority: z
          .object({
            value: priority.default(0),
            urls: z.array(z.object({ regex: z.string().min(1), value: priority })).default([]),
          })
          .prefault({}),
      }),
    )
    .default([]),
  schedulerClusterConfig: z
    .object({
      candidateParentLimit: z.int().min(1).max(20).optional(),
      filterParentLimit: z.int().min(10).max(1000).optional(),
    })
    .prefault({}),
  schedulerClusterClientConfig: z.object({ loadLimit: z.int().min(1).max(2_000).optional() }).prefault({}),
  seedPeerClusterConfig: z.object({ loadLimit: z.int().min(1).max(50_000).optional() }).prefault({}),
});

/** Daemons keep their schedulers and block lists in a file of the same name, perhaps the same file. */
const OF_DAEMONS = [
  ...['scheduler', 'seedPeers', 'clientConfig', 'seedClientConfig', 'schedulerClusterClientConfig.blockList'],
  'seedPeerClusterConfig.blockList',
];

const DEFAULT_TEXT = `# Limits and priorities of a cluster without a manager; read again while the scheduler runs.
# What is not set here is as in the configuration of the scheduler.
applications: []
#  - name: training
#    priority: { value: LEVEL0, urls: [{ regex: 'datasets/.*', value: LEVEL5 }] }
#schedulerClusterConfig: { candidateParentLimit: 3, filterParentLimit: 15 }
#schedulerClusterClientConfig: { loadLimit: 200 }
#seedPeerClusterConfig: { loadLimit: 2000 }
`;

/** Reads the file; one that is not there is written, with defaults, so that an operator finds what there is to set. @throws {ConfigError} */
export async function readLocalSettings(path: string): Promise<ClusterSettings> {
  const text = await readOrCreate(path);
  const { config } = readConfig({ path, text, schema: fileSchema, knownElsewhere: OF_DAEMONS, env: {} });
  return clusterSettingsSchema.parse({
    candidateParentLimit: config.schedulerClusterConfig.candidateParentLimit,
    filterParentLimit: config.schedulerClusterConfig.filterParentLimit,
    loadLimit: config.schedulerClusterClientConfig.loadLimit,
    seedLoadLimit: config.seedPeerClusterConfig.loadLimit,
    applications: config.applications.map(({ name, priority: { value, urls } }) => ({
      name,
      priority: value,
      urls: urls.map(({ regex, value: urlPriority }) => ({ regex, priority: urlPriority })),
    })),
  });
}

async function readOrCreate(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  await mkdir(dirname(path), { recursive: true });
  await replaceFile(path, DEFAULT_TEXT);
  return DEFAULT_TEXT;
}
