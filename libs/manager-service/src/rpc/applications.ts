import type { ServiceImpl } from '@connectrpc/connect';
import type { common, manager } from '@d7y/api';
import type { ApplicationBook, ApplicationFacts } from './books.ts';
import { UnknownInstanceError } from './errors.ts';

/** Every scheduler asks every minute. */
const FRESH_MS = 2_000;

/** Which applications have a priority of their own. */
export const applicationCalls = ({
  applications,
  clock,
}: {
  readonly applications: ApplicationBook;
  readonly clock: () => number;
}) => {
  let last: { readonly atMs: number; readonly rows: Promise<readonly ApplicationFacts[]> } | undefined;
  const read = async (): Promise<readonly ApplicationFacts[]> => {
    if (last === undefined || clock() - last.atMs > FRESH_MS)
      last = { atMs: clock(), rows: applications.withPriority() };
    const asked = last;
    try {
      return await asked.rows;
    } catch (error) {
      if (last === asked) last = undefined;
      throw error;
    }
  };
  return {
    async listApplications() {
      const found = (await read()).flatMap(({ id, name, url, bio, priority }) =>
        priority === null
          ? []
          : [
              {
                ...{ id: BigInt(id), name, url, bio },
                priority: {
                  value: (priority.value ?? 0) as common.Priority,
                  urls: (priority.urls ?? []).map(({ regex, value }) => ({ regex, value: value as common.Priority })),
                },
              },
            ],
      );
      // As stock managers have it, and callers take it for an empty list.
      if (found.length === 0) throw new UnknownInstanceError('no application has a priority');
      return { applications: found };
    },
  } satisfies Partial<ServiceImpl<typeof manager.Manager>>;
};
