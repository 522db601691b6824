import type { TurnWaiter } from "../../../core/share.ts";

/** From so many places on that have been left, the line moves up. */
const MOVE_UP = 256;

/** First in, first out. `Array.shift` would move the whole of a long line each time. */
export class WaitLine {
  #places: (TurnWaiter | undefined)[] = [];
  #first = 0;

  get length(): number {
    return this.#places.length - this.#first;
  }

  push(one: TurnWaiter): void {
    this.#places.push(one);
  }

  shift(): TurnWaiter | undefined {
    const one = this.#places[this.#first];
    if (one === undefined) return undefined;
    this.#places[this.#first] = undefined;
    this.#first += 1;
    if (this.#first === this.#places.length) {
      this.#places.length = 0;
      this.#first = 0;
    } else if (this.#first >= MOVE_UP && this.#first * 2 >= this.#places.length) {
      this.#places = this.#places.slice(this.#first);
      this.#first = 0;
    }
    return one;
  }
}
