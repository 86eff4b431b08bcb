import type { Logger } from '@d7y/service-kit';
import type { Priority } from '@d7y/swarm';
import type { ClusterSettings } from './cluster-settings.ts';

interface CompiledApplication {
  readonly priority: Priority;
  readonly urls: readonly { readonly pattern: RegExp; readonly priority: Priority }[];
}

/** Patterns are written by operators, URLs come from anybody: longer ones are not tried against them. */
const MAX_URL_LENGTH = 8_192;

/** What tells to which application a download belongs. */
export interface DescribedDownload {
  source(): { readonly application?: string | undefined; readonly url: string };
}

/** Which priority downloads have that do not name one themselves, by application and URL. Patterns are compiled once. */
export class ApplicationPriorities {
  readonly #applications = new Map<string, CompiledApplication>();

  /** A pattern that is none is left out, with a warning. */
  constructor({ applications }: ClusterSettings, logger: Pick<Logger, 'warn'>) {
    for (const { name, priority, urls } of applications) {
      this.#applications.set(name, {
        priority: priority as Priority,
        urls: urls.flatMap((rule) => {
          try {
            return [{ pattern: new RegExp(rule.regex), priority: rule.priority as Priority }];
          } catch (error) {
            logger.warn({ err: error, application: name }, 'a pattern of an application is no regular expression');
            return [];
          }
        }),
      });
    }
  }

  /** @param asked what the download says itself: anything but 0 stands */
  of(asked: Priority, download: DescribedDownload): Priority {
    if (asked !== 0 || this.#applications.size === 0) return asked;
    const { application, url } = download.source();
    const known = application ? this.#applications.get(application) : undefined;
    if (known === undefined) return asked;
    const rule = url.length > MAX_URL_LENGTH ? undefined : known.urls.find(({ pattern }) => pattern.test(url));
    return rule?.priority ?? known.priority;
  }
}
