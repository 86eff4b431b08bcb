import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MANIFEST_ACCEPT, MAX_DESCRIPTORS, MAX_DOCUMENT_BYTES, parseManifestDocument } from './document.ts';
import { OciDocumentError } from './errors.ts';

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const descriptor = (rest: object = {}) => ({ mediaType: 'x/y', digest: `sha256:${'0f'.repeat(32)}`, size: 7, ...rest });
const parsed = (rest: object = {}) => ({ ...descriptor(rest), platform: undefined });
const manifest = (rest: object = {}) => ({
  schemaVersion: 2,
  config: descriptor(),
  layers: [descriptor({ size: 8 })],
  ...rest,
});
const index = (rest: object = {}) => ({ schemaVersion: 2, manifests: [descriptor()], ...rest });

describe('parseManifestDocument', () => {
  it('reads a manifest', () => {
    expect(parseManifestDocument(bytes(manifest({ mediaType: DOCKER_MANIFEST, annotations: {} })))).toEqual({
      kind: 'manifest',
      mediaType: DOCKER_MANIFEST,
      config: parsed(),
      layers: [parsed({ size: 8 })],
    });
  });

  it('reads an index with its platforms', () => {
    const arm = descriptor({ platform: { os: 'linux', architecture: 'arm64', variant: 'v8', 'os.version': 'x' } });
    const intel = descriptor({ platform: { os: 'linux', architecture: 'amd64' } });
    expect(parseManifestDocument(bytes(index({ manifests: [arm, intel, descriptor({ platform: null })] })))).toEqual({
      kind: 'index',
      mediaType: OCI_INDEX,
      manifests: [
        { ...descriptor(), platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
        { ...descriptor(), platform: { os: 'linux', architecture: 'amd64', variant: '' } },
        parsed(),
      ],
    });
  });

  it('believes the document, then the content type, then the shape', () => {
    const typeOf = (value: object, contentType?: string) => parseManifestDocument(bytes(value), contentType).mediaType;
    expect(typeOf(manifest({ mediaType: OCI_MANIFEST }), 'text/plain')).toBe(OCI_MANIFEST);
    expect(typeOf(manifest(), `${DOCKER_MANIFEST.toUpperCase()}; charset=utf-8`)).toBe(DOCKER_MANIFEST);
    expect(typeOf(manifest(), 'application/json')).toBe(OCI_MANIFEST);
    expect(typeOf(manifest())).toBe(OCI_MANIFEST);
  });

  it('reads empty lists', () => {
    expect(parseManifestDocument(bytes(manifest({ layers: [] })))).toMatchObject({ layers: [] });
    expect(parseManifestDocument(bytes(index({ manifests: [] })))).toMatchObject({ manifests: [] });
  });

  it.each<[string, unknown, string]>([
    ['text', 'x', ''],
    ['a list', [], ''],
    ['schema 1', { schemaVersion: 1, fsLayers: [] }, 'schemaVersion'],
    ['a manifest that is an index too', { ...manifest(), ...index() }, ''],
    ['an index with a config', { ...index(), config: descriptor() }, ''],
    ['a manifest that calls itself an index', manifest({ mediaType: OCI_INDEX }), 'mediaType'],
    ['an index that calls itself a manifest', index({ mediaType: OCI_MANIFEST }), 'mediaType'],
    ['another type', manifest({ mediaType: 'image/png' }), 'mediaType'],
    ['a type that is no text', manifest({ mediaType: 5 }), 'mediaType'],
    ['neither', { schemaVersion: 2 }, 'config'],
    ['no layers', { schemaVersion: 2, config: descriptor() }, 'layers'],
    ['a layer that is none', manifest({ layers: [descriptor(), null] }), 'layers[1]'],
    ['a short digest', manifest({ config: descriptor({ digest: 'sha256:00' }) }), 'config.digest'],
    ['a path as digest', manifest({ config: descriptor({ digest: '../../etc' }) }), 'config.digest'],
    ['no digest', index({ manifests: [{ size: 1 }] }), 'manifests[0].digest'],
    ['a negative size', manifest({ layers: [descriptor({ size: -1 })] }), 'layers[0].size'],
    ['half a byte', manifest({ layers: [descriptor({ size: 0.5 })] }), 'layers[0].size'],
    ['an endless size', manifest({ layers: [descriptor({ size: 1e300 })] }), 'layers[0].size'],
    ['a size as text', manifest({ layers: [descriptor({ size: '7' })] }), 'layers[0].size'],
    ['a media type that is no text', manifest({ layers: [descriptor({ mediaType: {} })] }), 'layers[0].mediaType'],
    [
      'a platform without architecture',
      index({ manifests: [descriptor({ platform: { os: 'linux' } })] }),
      'manifests[0].platform',
    ],
    ['too many layers', manifest({ layers: Array(MAX_DESCRIPTORS + 1).fill(descriptor()) }), 'layers'],
  ])('refuses %s', (_, value, field) => {
    expect(() => parseManifestDocument(bytes(value))).toThrow(expect.objectContaining({ code: 'OCI_DOCUMENT', field }));
  });

  it('refuses a long document before it parses it', () => {
    const body = Buffer.concat([bytes(manifest()), Buffer.alloc(MAX_DOCUMENT_BYTES, ' ')]);
    expect(() => parseManifestDocument(body)).toThrow(/longer than/);
    expect(parseManifestDocument(body.subarray(0, MAX_DOCUMENT_BYTES)).kind).toBe('manifest');
  });

  it('refuses nesting without end and bytes that are not UTF-8', () => {
    expect(() => parseManifestDocument(Buffer.alloc(1_000_000, '['))).toThrow(OciDocumentError);
    expect(() => parseManifestDocument(Buffer.from([0x22, 0xff, 0x22]))).toThrow(OciDocumentError);
  });

  it('throws only its own error for any JSON', () => {
    const field = fc.constantFrom('schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'digest', 'size');
    const value = fc.oneof(fc.jsonValue(), fc.constant(2), fc.constant(descriptor()), fc.constant([descriptor()]));
    fc.assert(
      fc.property(fc.dictionary(field, value), (document) => {
        try {
          parseManifestDocument(bytes({ schemaVersion: 2, ...document }));
        } catch (error) {
          expect(error).toBeInstanceOf(OciDocumentError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

it('asks for manifests and indexes of both families', () => {
  expect(MANIFEST_ACCEPT.split(', ')).toHaveLength(4);
});
