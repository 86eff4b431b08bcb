import { createMetrics } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { silent } from '../_rig.ts';
import { createJobMetrics } from './job-metrics.ts';

function rig(targetCounts: Parameters<typeof createJobMetrics>[0]['jobs']['targetCounts']) {
  const { registry } = createMetrics({ processMetrics: false });
  const metrics = createJobMetrics({ registry, jobs: { targetCounts }, logger: silent });
  /** Samples of one metric, as text. */
  const samples = async (name: string) => {
    const text = await registry.getSingleMetricAsString(`dragonfly_manager_${name}`);
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  };
  return { metrics, samples };
}

describe('metrics of jobs', () => {
  it('tell what was asked for from what was taken in', async () => {
    const { metrics, samples } = rig(() => Promise.resolve([]));
    metrics.submitted('preheat', true);
    metrics.submitted('preheat', false);
    expect(await samples('create_job_total')).toEqual(['dragonfly_manager_create_job_total{name="preheat"} 2']);
    expect(await samples('create_job_success_total')).toEqual([
      'dragonfly_manager_create_job_success_total{name="preheat"} 1',
    ]);
  });

  it('count the hosts of a preheat when it has ended, and of no other job', async () => {
    const { metrics, samples } = rig((id) =>
      Promise.resolve([
        { cluster: 'edge', state: 'SUCCESS', count: id },
        { cluster: 'edge', state: 'FAILURE', count: 1 },
      ]),
    );
    await metrics.ended({ id: 3, type: 'preheat', state: 'FAILURE', ageMs: 2_000 });
    await metrics.ended({ id: 4, type: 'gc', state: 'SUCCESS', ageMs: 100 });
    expect(await samples('preheat_targets_total')).toEqual([
      'dragonfly_manager_preheat_targets_total{cluster="edge",result="SUCCESS"} 3',
      'dragonfly_manager_preheat_targets_total{cluster="edge",result="FAILURE"} 1',
    ]);
    expect(await samples('job_total')).toEqual([
      'dragonfly_manager_job_total{type="preheat",state="FAILURE"} 1',
      'dragonfly_manager_job_total{type="gc",state="SUCCESS"} 1',
    ]);
    expect(await samples('job_duration_seconds')).toContain(
      'dragonfly_manager_job_duration_seconds_sum{type="preheat"} 2',
    );
  });

  it('hold up nothing when the hosts cannot be counted', async () => {
    const { metrics, samples } = rig(() => Promise.reject(new Error('no database')));
    await metrics.ended({ id: 3, type: 'preheat', state: 'SUCCESS', ageMs: 1 });
    expect(await samples('job_total')).toHaveLength(1);
    expect(await samples('preheat_targets_total')).toEqual([]);
  });
});
