import { readFileSync } from 'node:fs';

/** Values that implementations of the protocol agree on; each list belongs to the test of its subject. */
export interface Vectors {
  readonly taskId: readonly {
    readonly url: string;
    readonly tag?: string;
    readonly application?: string;
    readonly revision?: string;
    readonly pieceLength?: number;
    readonly filteredQueryParams?: readonly string[];
    readonly hashedUrl: string;
    readonly id: string;
  }[];
  readonly taskIdFromContent: readonly { readonly content: string; readonly id: string }[];
  readonly taskIdFromBlobDigest: readonly { readonly url: string; readonly id: string }[];
  readonly persistentTaskId: readonly {
    readonly url: string;
    readonly region: string;
    readonly endpoint: string;
    readonly id: string;
  }[];
  readonly persistentCacheTaskId: readonly {
    readonly fileContent: string;
    readonly tag?: string;
    readonly application?: string;
    readonly pieceLength?: number;
    readonly id: string;
  }[];
  readonly hostId: readonly {
    readonly ip: string;
    readonly hostname: string;
    readonly seed: boolean;
    readonly id: string;
  }[];
  readonly pieceLength: readonly {
    readonly contentLength: number;
    readonly pieceLength: number;
    readonly pieceCount: number;
  }[];
  readonly pieceDigest: readonly { readonly text: string; readonly digest: string }[];
}

export const vectors = JSON.parse(
  readFileSync(new URL('../testdata/vectors.json', import.meta.url), 'utf8'),
) as Vectors;
