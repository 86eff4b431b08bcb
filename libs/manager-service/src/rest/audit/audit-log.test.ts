import { describe, expect, it } from '@jest/globals';
import { createLogger, createMetrics } from '@d7y/service-kit';
import { AuditLog } from './audit-log.ts';
import type { AuditEntry } from './audit-log.ts';

const entry = (path: string): AuditEntry => ({
  actorType: 'USER',
  actorName: 'ada',
  operation: 'POST',
  operatedAt: new Date(0),
  state: 'SUCCESS',
  path,
  statusCode: 200,
  detail: { route: 'jobs.create', ip: '10.0.0.1', request_id: 'r' },
});

function rig(write: (entries: readonly AuditEntry[]) => Promise<void>) {
  const metrics = createMetrics({ processMetrics: false });
  const logger = createLogger({ name: 'test', level: 'silent' });
  const log = new AuditLog({ write, logger, metrics, capacity: 3, intervalMs: 60_000 });
  const dropped = async () => {
    const text = await metrics.registry.getSingleMetricAsString('dragonfly_manager_audit_dropped_total');
    return Number(/_total (\d+)/.exec(text)?.[1]);
  };
  return { log, dropped };
}

describe('AuditLog', () => {
  it('writes in order, at the latest when it is closed', async () => {
    const written: string[] = [];
    const { log, dropped } = rig(async (entries) => void written.push(...entries.map(({ path }) => path)));
    log.record(entry('/a'));
    log.record(entry('/b'));
    await log.flush();
    log.record(entry('/c'));
    await log[Symbol.asyncDispose]();
    expect(written).toEqual(['/a', '/b', '/c']);
    expect(await dropped()).toBe(0);
  });

  it('drops what it has no room for, and counts it', async () => {
    const written: string[] = [];
    const { log, dropped } = rig(async (entries) => void written.push(...entries.map(({ path }) => path)));
    for (const path of ['/a', '/b', '/c', '/d', '/e']) log.record(entry(path));
    await log[Symbol.asyncDispose]();
    expect(written).toEqual(['/a', '/b', '/c']);
    expect(await dropped()).toBe(2);
  });

  it('outlives a database that is away', async () => {
    let isAway = true;
    const written: string[] = [];
    const { log, dropped } = rig(async (entries) => {
      if (isAway) throw new Error('away');
      written.push(...entries.map(({ path }) => path));
    });
    log.record(entry('/a'));
    await log.flush();
    isAway = false;
    log.record(entry('/b'));
    await log[Symbol.asyncDispose]();
    expect(written).toEqual(['/b']);
    expect(await dropped()).toBe(1);
  });
});
