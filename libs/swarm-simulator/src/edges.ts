import { ChildLists } from './child-lists.ts';
import { NONE } from './none.ts';

/** Parents that a member has at once, at most. */
export const SLOT_BITS = 4;
export const SLOTS = 1 << SLOT_BITS;
export const ALL_SLOTS = (1 << SLOTS) - 1;

/** Who is whose parent. An edge is a member and one of its slots. */
export class Edges {
  readonly parent: Int32Array;
  /** How much of the parent's log was read. */
  readonly cursor: Uint16Array;
  /** From when on the parent is heard. */
  readonly ready: Int32Array;
  /** What a transfer brings, of late, in bytes per tick; 0 while unknown. */
  readonly rate: Float32Array;
  readonly children: ChildLists;

  constructor(members: number) {
    const edges = members * SLOTS;
    this.parent = new Int32Array(edges).fill(NONE);
    this.cursor = new Uint16Array(edges);
    this.ready = new Int32Array(edges);
    this.rate = new Float32Array(edges);
    this.children = new ChildLists(members, edges);
  }
}
