import type { Candidates } from "./candidates.ts";
import type { HashTable } from "./consistent-hash.ts";
import { DeadlineHeap } from "./deadline-heap.ts";
import { hashOf, mix32 } from "./hash.ts";

/** A prime; the small table of the paper and Envoy's default. */
const TABLE_SIZE = 65_537;
const FREE = -1;

/**
 * Maglev's table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI
 * 2016): every endpoint has its own permutation of the table and they take the next free place of theirs
 * in turn, so shares are all but exact and a change moves little more than it must. O(1) per lookup.
 * Weights decide how often the turn comes; with so many endpoints that a place is worth more than a share,
 * the share is rounded to places.
 */
export class Maglev implements HashTable {
  readonly #table: Int32Array;

  constructor(candidates: Candidates) {
    this.#table = tableOf(candidates);
  }

  lookup(hash: number, attempt: number): number {
    const at = attempt === 0 ? hash : mix32(hash + Math.imul(attempt, 0x9e3779b9));
    return this.#table[at % TABLE_SIZE]!;
  }
}

function tableOf({ endpoints, weights, size }: Candidates): Int32Array {
  const table = new Int32Array(TABLE_SIZE).fill(FREE);
  const place = Uint32Array.from(endpoints, ({ id }) => hashOf(id) % TABLE_SIZE);
  const skip = Uint32Array.from(endpoints, ({ id }) => (hashOf(id, 1) % (TABLE_SIZE - 1)) + 1);
  // All deadlines start at 0, so every endpoint has a place before any has its second.
  const turns = new DeadlineHeap(new Float64Array(size));
  for (let filled = 0; filled < TABLE_SIZE; filled++) {
    const index = turns.top();
    turns.postpone(1 / weights[index]!);
    let at = place[index]!;
    while (table[at] !== FREE) at = (at + skip[index]!) % TABLE_SIZE;
    table[at] = index;
    place[index] = at;
  }
  return table;
}
