import { create, fromBinary } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';

/** What describes where a task comes from, as it came: nearly every registration repeats what is known, so that nobody looks into it. */
export class EncodedSource implements swarm.TaskSource {
  readonly $typeName = 'd7y.swarm.v1.TaskSource';
  /** One for each byte. */
  readonly #characters: string;
  #decoded: swarm.TaskSource | undefined;

  /** @param characters the encoded message, byte by byte */
  constructor(characters: string) {
    this.#characters = characters;
  }

  /** Encoded; what it says is not longer than that. */
  get byteLength(): number {
    return this.#characters.length;
  }

  get url(): string {
    return this.#message.url;
  }

  get digest(): string {
    return this.#message.digest;
  }

  get tag(): string {
    return this.#message.tag;
  }

  get application(): string {
    return this.#message.application;
  }

  get filteredQueryParams(): string[] {
    return this.#message.filteredQueryParams;
  }

  get requestHeaders(): Record<string, string> {
    return this.#message.requestHeaders;
  }

  get requestedPieceLength(): bigint | undefined {
    return this.#message.requestedPieceLength;
  }

  get contentForCalculatingTaskId(): string {
    return this.#message.contentForCalculatingTaskId;
  }

  get enableTaskIdBasedBlobDigest(): boolean {
    return this.#message.enableTaskIdBasedBlobDigest;
  }

  /** What cannot be read says nothing. */
  get #message(): swarm.TaskSource {
    if (this.#decoded !== undefined) return this.#decoded;
    try {
      this.#decoded = fromBinary(swarm.TaskSourceSchema, Buffer.from(this.#characters, 'latin1'));
    } catch {
      this.#decoded = create(swarm.TaskSourceSchema);
    }
    return this.#decoded;
  }
}
