import { and, eq, gt, lte } from 'drizzle-orm';
import type { Secret } from '@d7y/service-kit';
import type { Db } from '../open-database.ts';
import { jobSecrets } from '../schema/index.ts';
import type { Sealer } from '../secrets/sealer.ts';
import { asked } from '../translate-error.ts';

/** Credentials of jobs, which nobody reads but who has the key. */
export class JobSecretRepository {
  readonly #db: Db;
  readonly #sealer: Sealer;

  constructor(db: Db, sealer: Sealer) {
    this.#db = db;
    this.#sealer = sealer;
  }

  /** Keeps it until it is forgotten, or `expiresAt`. */
  async keep(jobId: number, secret: Secret, expiresAt: Date, now: Date): Promise<void> {
    const sealed = this.#sealer.seal(secret, contextOf(jobId));
    const set = { sealed, expiresAt };
    const values = { jobId, ...set, createdAt: now };
    await asked(this.#db.insert(jobSecrets).values(values).onConflictDoUpdate({ target: jobSecrets.jobId, set }));
  }

  /** @throws {SealBrokenError} it was sealed with a key that is no more */
  async find(jobId: number, now: Date): Promise<Secret | undefined> {
    const is = and(eq(jobSecrets.jobId, jobId), gt(jobSecrets.expiresAt, now));
    const [row] = await asked(this.#db.select().from(jobSecrets).where(is));
    return row && this.#sealer.open(row.sealed, contextOf(jobId));
  }

  async forget(jobId: number): Promise<void> {
    await asked(this.#db.delete(jobSecrets).where(eq(jobSecrets.jobId, jobId)));
  }

  async forgetExpired(now: Date): Promise<void> {
    await asked(this.#db.delete(jobSecrets).where(lte(jobSecrets.expiresAt, now)));
  }
}

const contextOf = (jobId: number) => `job:${jobId}`;
