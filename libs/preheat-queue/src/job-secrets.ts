import { isSecretHeader, safeUrl, Secret } from '@d7y/service-kit';
import { z } from 'zod';
import { QueueMessageError } from './messages.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Stands in stored arguments for what was taken out. */
const HIDDEN = '[secret]';

const secretFields = z.strictObject({
  headers: z.record(z.string(), z.string()).optional(),
  password: z.string().optional(),
  url: z.string().optional(),
  urls: z.array(z.string()).optional(),
});
type SecretFields = z.output<typeof secretFields>;

/**
 * Takes out of the arguments of a job what nobody may read who reads the job: passwords, headers that carry credentials, and addresses with a
 * query, which may be signed.
 * @returns what may be stored and shown, and the rest, if there is any, to be sealed
 */
export function splitSecrets(args: Fields): { readonly shown: Fields; readonly secret: Secret | undefined } {
  const secret: SecretFields = {};
  const shown: Record<string, unknown> = { ...args };
  const { headers, password, url, urls } = args;
  if (typeof headers === 'object' && headers !== null) {
    const all = Object.entries(headers as Record<string, string>);
    const hidden = all.filter(([name]) => isSecretHeader(name));
    if (hidden.length > 0) {
      secret.headers = Object.fromEntries(hidden);
      shown['headers'] = Object.fromEntries(all.map(([name, value]) => [name, isSecretHeader(name) ? HIDDEN : value]));
    }
  }
  if (typeof password === 'string') {
    secret.password = password;
    shown['password'] = HIDDEN;
  }
  if (typeof url === 'string' && safeUrl(url) !== url) {
    secret.url = url;
    shown['url'] = safeUrl(url);
  }
  if (Array.isArray(urls) && urls.some((one) => typeof one === 'string' && safeUrl(one) !== one)) {
    secret.urls = urls as string[];
    shown['urls'] = (urls as string[]).map((one) => safeUrl(one));
  }
  return { shown, secret: Object.keys(secret).length === 0 ? undefined : new Secret(JSON.stringify(secret)) };
}

/** Puts back what was taken out. @throws {QueueMessageError} */
export function joinSecrets(shown: Fields, secret: Secret | undefined): Fields {
  if (secret === undefined) return shown;
  let value: unknown;
  try {
    value = JSON.parse(secret.reveal());
  } catch {
    throw new QueueMessageError('the credentials of a job: not as they were sealed');
  }
  const { success, data } = secretFields.safeParse(value);
  if (!success) throw new QueueMessageError('the credentials of a job: not as they were sealed');
  const headers = { ...((shown['headers'] as object | undefined) ?? {}), ...data.headers };
  return { ...shown, ...data, ...(Object.keys(headers).length > 0 && { headers }) };
}

/** Whether something was taken out of arguments. */
export function lackSecrets(shown: Fields): boolean {
  const { headers, password, url, urls } = shown;
  const addresses = [url, ...(Array.isArray(urls) ? (urls as unknown[]) : [])];
  return (
    password === HIDDEN ||
    Object.values((headers as object | undefined) ?? {}).includes(HIDDEN) ||
    addresses.some((one) => typeof one === 'string' && /[?&]([^&]*=)?\*(&|$)/.test(one))
  );
}

/** What the seal of a job's credentials is bound to. */
export const secretContextOf = (jobId: number): string => `job ${jobId}`;
