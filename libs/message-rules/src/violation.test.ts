import type { DescMessage } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { DurationSchema, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from '@jest/globals';
import { common, errordetails, health, manager, scheduler } from '@d7y/api';
import type { PublishedRule } from './_published-rules.ts';
import { PUBLISHED, toRule } from './_published-rules.ts';
import { fieldNamed, samplesOf, validExample, withField } from './_samples.ts';
import { checkOf, RULED_PACKAGES, violationOf } from './violation.ts';

const descs = new Map<string, DescMessage>();
for (const file of RULED_PACKAGES.keys()) for (const desc of file.messages) descs.set(desc.typeName, desc);

function descOf(typeName: string): DescMessage {
  const desc = descs.get(typeName);
  if (desc === undefined) throw new Error(`no message ${typeName}`);
  return desc;
}

/** Every published rule: message type, field or oneof, rule. */
const published = Object.entries(PUBLISHED).flatMap(([packageName, messages]) =>
  Object.entries(messages).flatMap(([name, rules]) =>
    Object.entries(rules).map(([member, rule]): [string, string, PublishedRule] => [
      `${packageName}.${name}`,
      member,
      rule,
    ]),
  ),
);
const fieldRules = published.filter(([, member]) => !member.startsWith('oneof:'));
const oneofRules = published.filter(([, member]) => member.startsWith('oneof:'));

describe('the rules', () => {
  it('are the published ones, no more and no less', () => {
    const theirs = Object.fromEntries(
      published.map(([type, member, rule]) => [`${type}.${member.replace(':', ' ')}`, toRule(member, rule)]),
    );
    const ours = Object.fromEntries(
      [...RULED_PACKAGES].flatMap(([file, messages]) =>
        Object.entries(messages).flatMap(([name, rules]) =>
          Object.entries(rules).map(([member, rule]) => [`${file.proto.package}.${name}.${member}`, rule]),
        ),
      ),
    );
    expect(Object.keys(theirs).length).toBeGreaterThan(300);
    expect(ours).toEqual(theirs);
  });

  it('can all be compiled', () => {
    expect(() => [...descs.values()].map(checkOf)).not.toThrow();
  });
});

describe('violationOf', () => {
  it.each([...descs.keys()])('accepts a valid %s', (type) => {
    expect(violationOf(validExample(descOf(type)))).toBeUndefined();
  });

  it.each(fieldRules)('holds %s.%s to its rule', (type, name, rule) => {
    const desc = descOf(type);
    const field = fieldNamed(desc, name);
    const { good, bad } = samplesOf(field, rule);
    for (const value of good) expect(violationOf(withField(validExample(desc), field, value))).toBeUndefined();
    for (const value of bad) {
      expect(violationOf(withField(validExample(desc), field, value))).toEqual({
        field: name,
        rule: expect.stringMatching(/^must /),
      });
    }
    expect(good.length).toBeGreaterThan(0);
    // "at least one, or empty" is the one kind of rule that nothing breaks
    const isVacuous = /^\{"(string|bytes|repeated)":\{"min_(len|items)":1,"ignore_empty":true\}\}$/.test(
      JSON.stringify(rule),
    );
    expect(bad.length > 0).toBe(!isVacuous);
  });

  it.each(oneofRules)('demands one member of %s %s', (type, member) => {
    const desc = descOf(type);
    const oneof = desc.oneofs.find(({ name }) => `oneof:${name}` === member);
    expect(oneof?.fields.length).toBeGreaterThan(1);
    for (const field of oneof?.fields ?? []) {
      if (field.message === undefined) throw new Error('the oneofs of this API hold messages');
      expect(violationOf(withField(validExample(desc), field, validExample(field.message)))).toBeUndefined();
    }
    const unset = validExample(desc) as unknown as Record<string, unknown>;
    unset[oneof?.localName ?? ''] = { case: undefined };
    expect(violationOf(unset as never)).toEqual({ field: oneof?.name, rule: 'must have one member set' });
  });

  it('leaves an optional field alone that is not set', () => {
    expect(violationOf(create(common.ObjectStorageSchema, {}))).toBeUndefined();
    expect(violationOf(create(common.ObjectStorageSchema, { accessKeyId: '' }))?.field).toBe('access_key_id');
  });

  it('names the path through oneofs, messages and lists', () => {
    const times = { cost: create(DurationSchema), createdAt: create(TimestampSchema) };
    const pieces = ['', 'secret'].map((digest) => create(common.PieceSchema, { ...times, digest }));
    const parent = validExample(common.PeerSchema) as common.Peer;
    const request = create(scheduler.AnnouncePeerRequestSchema, {
      hostId: 'h',
      taskId: 't',
      peerId: 'p',
      request: {
        case: 'reschedulePeerRequest',
        value: { candidateParents: [parent, { ...parent, pieces }] },
      },
    });
    expect(violationOf(request)).toEqual({
      field: 'reschedule_peer_request.candidate_parents[1].pieces[1].digest',
      rule: expect.stringMatching(/^must match .*sha256/),
    });
  });

  it('looks into types that contain each other', () => {
    const seedPeer = { hostname: 's', schedulers: [{ seedPeers: [{}] }] };
    expect(violationOf(create(manager.SchedulerSchema, { seedPeers: [seedPeer] }))).toBeUndefined();
  });

  it('says in words what the field must be', () => {
    const host = { ...(validExample(common.HostSchema) as common.Host), port: 80 };
    expect(violationOf(host)).toEqual({ field: 'port', rule: 'must be at least 1024 and below 65535' });
    const download = { url: 'http://h/', pieceLength: 1n };
    expect(violationOf(create(common.DownloadSchema, download))).toEqual({
      field: 'piece_length',
      rule: 'must be at least 4194304 and at most 67108864, or 0',
    });
  });

  it('knows no rules of other messages', () => {
    expect(violationOf(create(health.HealthCheckRequestSchema))).toBeUndefined();
  });
});

describe('checkOf', () => {
  it('gives nothing for types under which no rule can be broken', () => {
    expect(checkOf(scheduler.DownloadPeerStartedRequestSchema)).toBeUndefined();
    expect(checkOf(common.HDFSSchema)).toBeUndefined(); // its one rule lets everything pass
    expect(checkOf(errordetails.UnknownSchema)).toBeUndefined();
    expect(checkOf(manager.SchedulerClusterSchema)).toBeUndefined();
  });

  it('gives the same check every time', () => {
    expect(checkOf(common.HostSchema)).toBe(checkOf(common.HostSchema));
  });
});
