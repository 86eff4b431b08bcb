import { z } from 'zod';

/** `host:port`, or an http or https URL of them, as daemons of this protocol write it. */
export const managerAddress = () =>
  z.string().transform((text, issues) => {
    const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
    if (url === null || !/^https?:$/.test(url.protocol) || url.port === '' || url.pathname !== '/') {
      issues.addIssue({ code: 'custom', message: 'expected host:port or a URL such as http://manager:65003' });
      return z.NEVER;
    }
    return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port), isSecure: url.protocol === 'https:' };
  });

/** Where a manager listens for gRPC. */
export type ManagerAddress = z.output<ReturnType<typeof managerAddress>>;

/** The manager that a configuration means; undefined where it has none, or has it switched off. */
export function managerOf({
  enable,
  addr,
  netAddrs,
}: {
  readonly enable?: boolean | undefined;
  readonly addr?: ManagerAddress | undefined;
  readonly netAddrs: readonly { readonly addr: ManagerAddress }[];
}): ManagerAddress | undefined {
  return enable === false ? undefined : (addr ?? netAddrs[0]?.addr);
}
