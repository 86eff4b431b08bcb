import { readFile } from 'node:fs/promises';
import { describeSystemError } from '@d7y/service-kit';
import { ManagerError } from '../errors.ts';

/** What is asked for, as the command line has it. */
export interface PreheatQuestion {
  /** An image by its name or the URL of its manifest; the URL of a file. */
  readonly content: string;
  readonly type: 'image' | 'file';
  readonly platform?: readonly string[] | undefined;
  readonly scope?: string | undefined;
  readonly ip?: readonly string[] | undefined;
  readonly count?: number | undefined;
  readonly percentage?: number | undefined;
  readonly cluster?: readonly number[] | undefined;
  readonly tag?: string | undefined;
  readonly application?: string | undefined;
  readonly username?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly jobTimeout?: string | undefined;
}

/** The request for the manager. @throws {ManagerError} the file of the password cannot be read */
export async function preheatBody(question: PreheatQuestion): Promise<Record<string, unknown>> {
  const { content, type, platform, scope, ip, count, percentage, cluster, tag, application } = question;
  return {
    ...{ type, url: content, platforms: platform, scope, ips: ip, count, percentage },
    ...{ scheduler_cluster_ids: cluster, tag, application, timeout: question.jobTimeout },
    ...{ username: question.username, password: await passwordOf(question.passwordFile) },
  };
}

async function passwordOf(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new ManagerError(`${path} cannot be read: ${describeSystemError(cause) ?? String(cause)}`, { cause });
  }
}
