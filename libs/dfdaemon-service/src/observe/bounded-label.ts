/** What stands for all values beyond the first ones. */
const OTHER = 'other';
const MAX_LENGTH = 64;

/** Values of a label that come from callers: the first ones keep their name, so that nobody can make up series without end. */
export class BoundedLabel {
  readonly #known = new Set<string>();
  readonly #max: number;

  constructor(max = 50) {
    this.#max = max;
  }

  of(value: string | undefined): string {
    const text = (value ?? '').slice(0, MAX_LENGTH);
    if (text === '' || this.#known.has(text)) return text;
    if (this.#known.size >= this.#max) return OTHER;
    this.#known.add(text);
    return text;
  }
}
