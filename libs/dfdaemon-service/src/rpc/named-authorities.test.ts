import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import { createLogger } from '@d7y/service-kit';
import { makeServerCertificate } from '@d7y/testkit';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { NamedAuthorities, type NamingCaller } from './named-authorities.ts';

const BLOB = `https://registry.test/v2/team/x/blobs/sha256:${'d'.repeat(64)}`;
const FILE = 'https://files.test/model?signature=planted';
const LOCAL: NamingCaller = { isLocal: true, isForStore: false };
const KEEPER: NamingCaller = { isLocal: false, isForStore: true };
const READER: NamingCaller = { isLocal: false, isForStore: false };

let pem: string;
let otherPem: string;
beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'd7y-named-'));
  const { ca, cert } = await makeServerCertificate(dir);
  await rm(dir, { recursive: true });
  pem = new X509Certificate(ca).toString();
  otherPem = new X509Certificate(cert).toString();
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const der = (text: string): Uint8Array => new Uint8Array(new X509Certificate(text).raw);

/** What comes of the chain of a download, and what is logged. */
function setUp() {
  const lines: { level: string; msg: string }[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(JSON.parse(chunk.toString()) as (typeof lines)[number]);
      done();
    },
  });
  const named = new NamedAuthorities(createLogger({ name: 'test', level: 'debug', stream }));
  const of = (chain: readonly Uint8Array[], caller: NamingCaller, url = BLOB) =>
    named.of(create(common.DownloadSchema, { url, certificateChain: [...chain] }), caller);
  return { of, lines };
}

describe('the authorities that a download names', () => {
  it('are the same whether they come as PEM or DER, in one piece or several, in any order, twice or once', () => {
    const { of } = setUp();
    const expected = [pem, otherPem].sort().join('');
    for (const chain of [
      [bytes(pem), bytes(otherPem)],
      [der(otherPem), der(pem)],
      [bytes(`# both\n${otherPem}${pem}`), der(pem)],
    ])
      expect(of(chain, LOCAL)).toBe(expected);
  });

  it('are none where nothing is named', () => {
    const { of, lines } = setUp();
    expect(of([], READER)).toBeUndefined();
    expect(lines).toEqual([]);
  });

  it.each<[string, NamingCaller, string, boolean]>([
    ['count for a blob', LOCAL, BLOB, true],
    ['count for content that nothing proves', LOCAL, FILE, true],
    ['count for a blob that is brought for others', KEEPER, BLOB, true],
    ['do not count for content that nothing proves', KEEPER, FILE, false],
    ['do not count for who gets the bytes', READER, BLOB, false],
    ['do not count where the digest is none', KEEPER, 'https://registry.test/v2/team/x/blobs/sha256:d', false],
  ])('%s (%j)', (_what, caller, url, counts) => {
    const { of, lines } = setUp();
    expect(of([bytes(pem)], caller, url)).toBe(counts ? pem : undefined);
    expect(lines.length).toBe(counts ? 0 : 1);
  });

  it('do not count for what a caller of the network says is the digest: others would get what he chose', () => {
    const named = new NamedAuthorities(createLogger({ name: 'test', level: 'silent' }));
    const digest = `sha256:${'e'.repeat(64)}`;
    const download = create(common.DownloadSchema, { url: FILE, digest, certificateChain: [bytes(pem)] });
    expect(named.of(download, KEEPER)).toBeUndefined();
  });

  it('are warned of once for many requests when they do not count, with the key that helps and without secrets', () => {
    const { of, lines } = setUp();
    for (let request = 0; request < 3; request++) of([bytes(pem)], KEEPER, FILE);
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'debug', 'debug']);
    expect(lines[0]?.msg).toContain('proxy.registries[].cert');
    expect(JSON.stringify(lines)).not.toContain('planted');
  });

  it('are without what is no certificate, such as the subjects that managers put there', () => {
    const { of, lines } = setUp();
    const subject = bytes('CN=registry,O=test');
    expect(of([subject], READER)).toBeUndefined();
    expect(of([subject, bytes(pem)], LOCAL)).toBe(pem);
    // All of a machine's bundle.
    expect(of(Array(150).fill(subject) as Uint8Array[], KEEPER)).toBeUndefined();
    expect(lines.map(({ level }) => level)).toEqual(['debug', 'debug', 'debug']);
  });

  it.each<[string, () => readonly Uint8Array[]]>([
    ['more than 16 certificates', () => Array.from({ length: 17 }, () => bytes(pem))],
    ['more than 512 entries', () => Array.from({ length: 513 }, () => bytes('CN=x'))],
    ['more than 16 certificates in one entry', () => [bytes(pem.repeat(17))]],
    ['more than 64 KiB', () => [new Uint8Array(40_000), new Uint8Array(40_000)]],
  ])('are refused when they are %s, whoever names them', (_what, chain) => {
    const { of } = setUp();
    for (const caller of [LOCAL, KEEPER, READER]) {
      expect(() => of(chain(), caller)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
      expect(() => of(chain(), caller)).toThrow(
        'download.certificate_chain: more than 16 certificates, 512 entries or 65536 bytes',
      );
    }
  });
});
