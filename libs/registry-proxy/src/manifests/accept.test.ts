import { MANIFEST_MEDIA_TYPES } from '@d7y/oci';
import { describe, expect, it } from '@jest/globals';
import { normaliseAccept } from './accept.ts';

const [MANIFEST = '', DOCKER_MANIFEST = '', INDEX = '', LIST = ''] = MANIFEST_MEDIA_TYPES;

describe('normaliseAccept', () => {
  it('takes containerd, podman and docker, who accept everything in orders of their own, for equal', () => {
    const containerd = `${DOCKER_MANIFEST}, ${LIST}, ${MANIFEST}, ${INDEX}, */*`;
    const podman = [
      MANIFEST,
      DOCKER_MANIFEST,
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      INDEX,
      LIST,
    ];
    expect(normaliseAccept(podman.join(','))).toBe(normaliseAccept(containerd));
  });

  it('does not take who wants a single manifest for one who wants an index', () => {
    const forms = [MANIFEST, INDEX, `${MANIFEST}, ${INDEX}`, `${MANIFEST}, */*`, '*/*'].map(normaliseAccept);
    expect(new Set(forms).size).toBe(forms.length);
  });

  it('looks past case, spaces, parameters, repetition and what has no weight', () => {
    const plain = normaliseAccept(`${MANIFEST},${INDEX}`);
    expect(normaliseAccept(` ${INDEX.toUpperCase()} ;q=0.5,, ${MANIFEST};q=1 , ${MANIFEST}, ${LIST};q=0`)).toBe(plain);
  });

  it('takes no header for one that accepts anything', () => {
    expect(normaliseAccept(undefined)).toBe('*/*');
    expect(normaliseAccept(' ')).toBe('*/*');
  });

  it.each([['text'], ['a/b/c'], ['a b/c'], ['a/b\u0000'], [`${'x'.repeat(3000)}/y`], ['/'], [';q=1']])(
    'does not guess what %j asks for',
    (header) => {
      expect(normaliseAccept(header)).toBeUndefined();
    },
  );

  it('gives any header a short form without spaces, or none, in no time', () => {
    const pieces = [
      'application/',
      'a/b',
      '*/*',
      ',',
      ';',
      'q=0',
      '=',
      ' ',
      '\t',
      '"',
      MANIFEST,
      INDEX,
      '\\',
      'é',
      '/',
    ];
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
    for (let round = 0; round < 3000; round++) {
      const header = Array.from({ length: random(40) }, () => pieces[random(pieces.length)]).join('');
      const form = normaliseAccept(header);
      if (form === undefined) continue;
      expect(form).toMatch(/^[^\s,;]+(,[^\s,;]+)*$|^$/);
      expect(normaliseAccept(form)).toBe(form === '' ? '*/*' : form);
    }
    const startedAt = performance.now();
    normaliseAccept(`${'a/a;'.repeat(100_000)}`);
    expect(performance.now() - startedAt).toBeLessThan(100);
  });
});
