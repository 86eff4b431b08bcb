import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { common, dfdaemon, errordetails, manager, scheduler } from '../src/index.ts';
import type { PublishedSchema } from './_schema-facts.ts';
import { differencesOf, factsOfFiles, factsOfPublished } from './_schema-facts.ts';

const published = readFileSync(new URL('../testdata/d7y-v2.json', import.meta.url), 'utf8');
const parse = (json: string) => factsOfPublished(JSON.parse(json) as PublishedSchema);
const ours = factsOfFiles([
  common.file_common_v2_common,
  dfdaemon.file_dfdaemon_v2_dfdaemon,
  errordetails.file_errordetails_v2_errordetails,
  manager.file_manager_v2_manager,
  scheduler.file_scheduler_v2_scheduler,
]);

describe('the v2 packages', () => {
  it('are what is published: services, methods, messages, fields and enums, no more and no less', () => {
    expect(differencesOf(ours, parse(published))).toEqual([]);
    expect(ours.size).toBeGreaterThan(900);
  });

  it.each([
    [
      '"name":"offset","number":3,"type":"uint64"',
      '"name":"offset","number":4,"type":"uint64"',
      'field common.v2.Piece.offset is uint64 = 3, published is uint64 = 4',
    ],
    ['"LEVEL6":6', '"LEVEL6":7', 'enum value common.v2.Priority.LEVEL6 is 6, published is 7'],
    ['"MetadataOnlyResponse":', '"MetadataReply":', 'message scheduler.v2.MetadataOnlyResponse is not published'],
    ['"MetadataOnlyResponse":', '"MetadataReply":', 'message scheduler.v2.MetadataReply is missing'],
    ['"SyncHost":{', '"WatchHost":{', 'method dfdaemon.v2.DfdaemonUpload/WatchHost is missing'],
    ['"DfdaemonUpload":{', '"Upload":{', 'service dfdaemon.v2.DfdaemonUpload is not published'],
  ])('would show that %s has become %s', (from, to, difference) => {
    const compact = JSON.stringify(JSON.parse(published));
    expect(compact).toContain(from);
    expect(differencesOf(ours, parse(compact.replace(from, to)))).toContain(difference);
  });

  it('reserve what earlier versions used', () => {
    expect(ours.get('message common.v2.Download')).toBe('declared and reserves 21');
    expect(ours.get('message common.v2.Network')).toBe('declared and reserves 5, 6, 7, 8');
  });

  it.each(['optional', 'repeated', 'oneof', 'clientStreaming', 'serverStreaming'])('are compared by %s', (key) => {
    const changed = JSON.stringify(JSON.parse(published)).replace(new RegExp(`,"${key}":(?:true|"[a-z]+")`), '');
    expect(differencesOf(ours, parse(changed))).toHaveLength(1);
  });
});
