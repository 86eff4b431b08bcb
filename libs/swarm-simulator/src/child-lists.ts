/**
 * Who is whose child, by edge: of each member a list of the edges that lead to it, in no order. Joining and leaving cost constant time.
 */
export class ChildLists {
  readonly #lists: (number[] | undefined)[];
  /** Of each edge that is in a list: where. */
  readonly #place: Int32Array;

  constructor(members: number, edges: number) {
    this.#lists = new Array<number[] | undefined>(members).fill(undefined);
    this.#place = new Int32Array(edges);
  }

  /** Edges to the children of this member; it changes as they come and go. */
  of(member: number): readonly number[] {
    return this.#lists[member] ?? NOBODY;
  }

  add(member: number, edge: number): void {
    const list = (this.#lists[member] ??= []);
    this.#place[edge] = list.length;
    list.push(edge);
  }

  remove(member: number, edge: number): void {
    const list = this.#lists[member];
    const last = list?.pop();
    if (list === undefined || last === undefined || last === edge) return;
    const place = this.#place[edge];
    list[place] = last;
    this.#place[last] = place;
  }
}

const NOBODY: readonly number[] = [];
