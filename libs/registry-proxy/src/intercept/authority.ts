import 'reflect-metadata';
import {
  createPrivateKey,
  type KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate as NodeCertificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { DfError } from '@d7y/piece';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

const HOUR_MS = 3_600_000;
/** A certificate of a host lives a week: it is made anew in a millisecond, and what leaks of it is soon worthless. */
export const LEAF_LIFE_MS = 7 * 24 * HOUR_MS;
const AUTHORITY_LIFE_MS = 10 * 365 * 24 * HOUR_MS;
/** Clocks of clients may be behind. */
const BACKDATED_MS = HOUR_MS;
const LEAF_KEY = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** The authority that signs for intercepted hosts cannot be used. */
export class AuthorityError extends DfError {
  override readonly name = 'AuthorityError';
  readonly code = 'CONFIG';
  readonly retryable = false;
}

/** What a TLS server for one host is made of, in PEM. */
export interface LeafCertificate {
  /** With the authority's own behind it. */
  readonly cert: string;
  readonly key: string;
}

/** Signs certificates for hosts whose traffic is read here. */
export class CertificateAuthority {
  /** As it was read, in PEM: what clients have to trust. */
  readonly certificate: string;
  readonly #issuer: X509Certificate;
  readonly #signingKey: webcrypto.CryptoKey;
  readonly #leafKeys: webcrypto.CryptoKeyPair;
  readonly #leafKey: string;

  private constructor(
    certificate: string,
    signingKey: webcrypto.CryptoKey,
    leaf: { keys: webcrypto.CryptoKeyPair; key: string },
  ) {
    this.certificate = certificate;
    this.#issuer = new X509Certificate(new NodeCertificate(certificate).raw);
    this.#signingKey = signingKey;
    this.#leafKeys = leaf.keys;
    this.#leafKey = leaf.key;
  }

  /**
   * @param certificate PEM; intermediates may follow
   * @param key PEM, not encrypted
   * @param nowMs Unix time
   * @throws {AuthorityError} the two do not fit, are no authority, or have expired
   */
  static async load(certificate: string, key: string, nowMs: number): Promise<CertificateAuthority> {
    let parsed: NodeCertificate;
    let privateKey: KeyObject;
    try {
      parsed = new NodeCertificate(certificate);
      privateKey = createPrivateKey(key);
    } catch (error) {
      // Without the cause: it might quote the key.
      throw new AuthorityError(`neither is in PEM: ${(error as { code?: string }).code ?? 'unreadable'}`);
    }
    if (!parsed.ca) throw new AuthorityError('the certificate is not that of an authority');
    if (!parsed.checkPrivateKey(privateKey)) throw new AuthorityError('the key is not that of the certificate');
    if (parsed.validToDate.getTime() <= nowMs) throw new AuthorityError(`it expired on ${parsed.validTo}`);
    // One key for all hosts: making one costs more than signing for it.
    const keys = await webcrypto.subtle.generateKey(LEAF_KEY, true, ['sign', 'verify']);
    return new CertificateAuthority(certificate, signingKeyOf(privateKey), {
      keys,
      key: await pemOf(keys.privateKey),
    });
  }

  /** Makes a new one. @returns both in PEM */
  static async create(name: string, nowMs: number): Promise<{ readonly certificate: string; readonly key: string }> {
    const keys = await webcrypto.subtle.generateKey(LEAF_KEY, true, ['sign', 'verify']);
    const certificate = await X509CertificateGenerator.createSelfSigned(
      {
        serialNumber: serialNumber(),
        name: [{ CN: [name] }],
        notBefore: new Date(nowMs - BACKDATED_MS),
        notAfter: new Date(nowMs + AUTHORITY_LIFE_MS),
        signingAlgorithm: LEAF_KEY,
        keys,
        extensions: [
          new BasicConstraintsExtension(true, 0, true),
          new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
          await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        ],
      },
      webcrypto,
    );
    return { certificate: `${certificate.toString('pem')}\n`, key: await pemOf(keys.privateKey) };
  }

  /** @param host a name or an address, without brackets */
  async issue(host: string, nowMs: number): Promise<LeafCertificate> {
    const certificate = await X509CertificateGenerator.create(
      {
        serialNumber: serialNumber(),
        // Names longer than 64 characters do not fit into a subject; nobody reads it any more.
        subject: [{ CN: [host.slice(0, 64)] }],
        issuer: this.#issuer.subjectName,
        notBefore: new Date(nowMs - BACKDATED_MS),
        notAfter: new Date(Math.min(nowMs + LEAF_LIFE_MS, this.#issuer.notAfter.getTime())),
        signingAlgorithm: { ...this.#signingKey.algorithm, hash: 'SHA-256' } as typeof LEAF_KEY,
        publicKey: this.#leafKeys.publicKey,
        signingKey: this.#signingKey,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
          new SubjectAlternativeNameExtension([{ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }]),
          await SubjectKeyIdentifierExtension.create(this.#leafKeys.publicKey, false, webcrypto),
          await this.#authorityKeyIdentifier(),
        ],
      },
      webcrypto,
    );
    return { cert: `${certificate.toString('pem')}\n${this.certificate}`, key: this.#leafKey };
  }

  async #authorityKeyIdentifier(): Promise<AuthorityKeyIdentifierExtension> {
    const own = this.#issuer.getExtension(SubjectKeyIdentifierExtension);
    if (own !== null) return new AuthorityKeyIdentifierExtension(own.keyId);
    return await AuthorityKeyIdentifierExtension.create(
      await this.#issuer.publicKey.export(webcrypto),
      false,
      webcrypto,
    );
  }
}

/** @throws {AuthorityError} */
function signingKeyOf(key: KeyObject): webcrypto.CryptoKey {
  const curve = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' }[
    key.asymmetricKeyDetails?.namedCurve ?? ''
  ];
  if (key.asymmetricKeyType === 'ec' && curve !== undefined) {
    return key.toCryptoKey({ name: 'ECDSA', namedCurve: curve }, false, ['sign']);
  }
  if (key.asymmetricKeyType === 'rsa') {
    return key.toCryptoKey({ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, false, ['sign']);
  }
  throw new AuthorityError('its key is neither RSA nor EC on P-256, P-384 or P-521');
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}

/** 127 random bits, positive. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40);
  return bytes.toString('hex');
}
