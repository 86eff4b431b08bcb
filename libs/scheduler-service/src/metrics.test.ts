import { describe, expect, it } from '@jest/globals';
import { SchedulerRig } from './_rig.ts';
import { sizeLevelOf } from './metrics.ts';

const pair = (name: string): string[] => [`${name}_total`, `${name}_failure_total`];

/** What dashboards and alerts of other installations look at, without the prefix. */
const PUBLISHED: readonly string[] = [
  ...['announce_peer', 'stat_peer', 'leave_peer', 'exchange_peer', 'stat_task', 'leave_task'].flatMap(pair),
  ...['list_hosts', 'leave_host', 'announce_host', 'register_peer'].flatMap(pair),
  ...['preheat_image', 'stat_image', 'preheat_file', 'stat_file'].flatMap(pair),
  ...['download_peer_started', 'download_peer_back_to_source_started', 'download_peer_finished'].flatMap(pair),
  ...['download_peer_back_to_source_finished_failure_total', ...pair('download_piece_finished')],
  ...['download_piece_back_to_source_finished_failure_total', 'traffic', 'host_traffic'],
  ...['download_peer_duration_milliseconds', 'schedule_duration_milliseconds', 'concurrent_schedule_total', 'version'],
  ...['persistent', 'persistent_cache'].flatMap((family) => [
    ...[`announce_${family}_peer`, `stat_${family}_peer`, `delete_${family}_peer`].flatMap(pair),
    ...[`upload_${family}_task_started`, `upload_${family}_task_finished`].flatMap(pair),
    ...[`stat_${family}_task`, `delete_${family}_task`, `register_${family}_peer`].flatMap(pair),
    ...[`download_${family}_peer_started`, `download_${family}_peer_finished`].flatMap(pair),
    ...pair(`download_${family}_piece_finished`),
    `upload_${family}_task_failed_total`,
  ]),
  ...['upload_peer_failed_failure_total', 'upload_cache_peer_failed_failure_total'],
  // Names of older installations.
  ...['download_peer_total', 'download_piece_cost_seconds'],
];
const OWN: readonly string[] = [
  ...['trigger_seed', 'preheat_task'].flatMap(pair),
  ...['dynconfig_age_seconds', 'dynconfig_failing', 'waiting_registrations', 'overload_total'],
];

describe('metrics', () => {
  it('have every published name, on the gRPC port and on that of the metrics', async () => {
    await using rig = await SchedulerRig.start({}, "metrics: { enable: true, addr: '127.0.0.1:0', enableHost: true }");
    for (const port of [rig.running.port, rig.running.metricsPort]) {
      const text = await (await fetch(`http://127.0.0.1:${port ?? 0}/metrics`)).text();
      const names = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name));
      const wanted = [...PUBLISHED, ...OWN].map((name) => `dragonfly_scheduler_${name}`);
      expect(wanted.filter((name) => !names.has(name))).toEqual([]);
      for (const name of ['dragonfly_peer_count', 'grpc_server_started_total', 'grpc_server_handled_total'])
        expect(names).toContain(name);
      for (const name of ['grpc_server_msg_received_total', 'grpc_server_msg_sent_total', 'grpc_client_started_total'])
        expect(names).toContain(name);
    }
  });

  it.each([
    [undefined, '0'],
    [1, '1'],
    [2 ** 20, '2'],
    [4 * 2 ** 20, '3'],
    [2 ** 30 - 1, '10'],
    [2 ** 30, '11'],
    [4 * 2 ** 30, '12'],
    [8 * 2 ** 30, '13'],
    [2 ** 40 - 1, '19'],
    [2 ** 40, '20'],
  ])('put a task of %s bytes into size class %s', (contentLength, level) => {
    expect(sizeLevelOf(contentLength)).toBe(level);
  });
});
