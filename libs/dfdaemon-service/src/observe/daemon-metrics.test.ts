import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { BoundedLabel } from './bounded-label.ts';
import { DaemonMetrics } from './daemon-metrics.ts';
import { taskSizeLevel } from './task-size-level.ts';

const MIB = 2 ** 20;

function metricsUnderTest() {
  const registry = new Registry();
  const metrics = new DaemonMetrics(registry, {
    version: '1.2.3',
    gauges: { disk: () => Promise.resolve({ totalBytes: 100, usedBytes: 40 }), parents: () => 3 },
  });
  return { metrics, lines: async () => (await registry.metrics()).split('\n') };
}

describe('DaemonMetrics', () => {
  it('shows traffic under the names of both families', async () => {
    const { metrics, lines } = metricsUnderTest();
    metrics.bytesReceived('remotePeer', 10);
    metrics.bytesReceived('backToSource', 5);
    metrics.uploadStarted();
    metrics.uploadEnded(7);
    metrics.requestReceived();
    metrics.bytesSent(15);
    expect(await lines()).toEqual(
      expect.arrayContaining([
        'dragonfly_client_download_traffic{type="REMOTE_PEER"} 10',
        'dragonfly_dfdaemon_download_traffic_total{type="remote_peer"} 10',
        'dragonfly_dfdaemon_download_traffic_total{type="back_to_source"} 5',
        'dragonfly_dfdaemon_download_traffic_total{type="local_peer"} 0',
        'dragonfly_p2p_traffic_bytes_total 10',
        'dragonfly_client_upload_traffic 7',
        'dragonfly_dfdaemon_upload_traffic_total 7',
        'dragonfly_client_proxy_request_total 1',
        'dragonfly_dfdaemon_proxy_request_total 1',
        'dragonfly_proxy_traffic_bytes_total 15',
        'dragonfly_peer_count 3',
        'dragonfly_client_disk_space_total 100',
        'dragonfly_client_disk_usage_space_total 40',
      ]),
    );
  });

  it('counts a download with its duration by size, and a failed one without', async () => {
    const { metrics, lines } = metricsUnderTest();
    const request = { tag: 'nightly', application: 'ci', priority: 6 };
    metrics.downloadStarted(request);
    metrics.downloadStarted(request);
    metrics.downloadEnded(request, { servedBy: 'backToSource', durationMs: 3, contentLength: 5 * MIB });
    metrics.downloadEnded(request, { servedBy: undefined, durationMs: 3, contentLength: 0 });
    expect(await lines()).toEqual(
      expect.arrayContaining([
        'dragonfly_client_download_task_total{type="0",tag="nightly",app="ci",priority="6"} 2',
        'dragonfly_client_download_task_failure_total{type="0",tag="nightly",app="ci",priority="6"} 1',
        'dragonfly_client_concurrent_download_task_total{type="0",tag="nightly",app="ci",priority="6"} 0',
        'dragonfly_client_download_task_duration_milliseconds_count{task_type="0",task_size_level="3"} 1',
        'dragonfly_dfdaemon_download_task_total{type="back_to_source"} 1',
      ]),
    );
  });

  it('keeps the published name of failed listings', async () => {
    const { metrics, lines } = metricsUnderTest();
    metrics.callEnded('list_local_tasks', true);
    metrics.callEnded('delete_host', false);
    expect(await lines()).toEqual(
      expect.arrayContaining([
        'dragonfly_client_list_local_tasks_total{type="0"} 1',
        'dragonfly_client_list_tasks_failure_total{type="0"} 1',
        'dragonfly_client_delete_host_total 1',
      ]),
    );
  });

  it('weakness 42: lets callers make up no series without end', async () => {
    const { metrics, lines } = metricsUnderTest();
    for (let index = 0; index < 1000; index++) metrics.downloadStarted({ tag: `tag-${index}`, priority: 6 });
    const series = (await lines()).filter((line) => line.startsWith('dragonfly_client_download_task_total{'));
    expect(series.length).toBeLessThanOrEqual(51);
    expect(series).toContain('dragonfly_client_download_task_total{type="0",tag="other",app="",priority="6"} 950');
  });
});

describe('BoundedLabel', () => {
  it('goes on knowing the first values, and nothing as nothing', () => {
    const label = new BoundedLabel(1);
    expect([label.of('a'), label.of('b'), label.of('a'), label.of(undefined)]).toEqual(['a', 'other', 'a', '']);
  });
});

describe('taskSizeLevel', () => {
  it.each([
    [0, '0'],
    [1, '1'],
    [MIB, '2'],
    [512 * MIB - 1, '9'],
    [512 * MIB, '10'],
    [1024 * MIB, '11'],
    [2 ** 40, '20'],
  ])('puts %d bytes into level %s', (bytes, level) => {
    expect(taskSizeLevel(bytes)).toBe(level);
  });
});
