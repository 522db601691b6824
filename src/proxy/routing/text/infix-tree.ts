class Node<Value> {
  readonly children = new Map<number, Node<Value>>();
  value: Value | null = null;
  /** Of the longest proper suffix of what leads here that is in the tree. */
  fallback: Node<Value> | null = null;
  /** The next one on the way over the fallbacks that has a value. */
  next: Node<Value> | null = null;
  /** The search that has found it last. */
  turn = 0;
}

/**
 * Values under texts, of which all are found that occur in a text, in one pass over it (Aho and Corasick, "Efficient
 * string matching", CACM 1975).
 */
export class InfixTree<Value> {
  readonly #root = new Node<Value>();
  #isLinked = true;
  #turn = 0;

  /** The value under that text, which is not empty; made where there is none. */
  at(text: string, make: () => Value): Value {
    let node = this.#root;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      let child = node.children.get(code);
      if (child === undefined) {
        child = new Node();
        node.children.set(code, child);
        this.#isLinked = false;
      }
      node = child;
    }
    if (node.value === null) {
      node.value = make();
      this.#isLinked = false;
    }
    return node.value;
  }

  /** Appends the values of the texts that occur, each once however often it does. */
  collect(text: string, into: Value[]): void {
    const root = this.#root;
    if (root.children.size === 0) return;
    if (!this.#isLinked) this.#link();
    this.#turn += 1;
    const turn = this.#turn;
    let node = root;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      let child = node.children.get(code);
      while (child === undefined && node !== root) {
        node = node.fallback ?? root;
        child = node.children.get(code);
      }
      node = child ?? root;
      // Behind one that was found before, all the others were found, too.
      for (
        let found = node.value === null ? node.next : node;
        found !== null && found.turn !== turn;
        found = found.next
      ) {
        found.turn = turn;
        into.push(found.value as Value);
      }
    }
  }

  /** Breadth first, so that what is shorter is linked before what is longer. */
  #link(): void {
    const root = this.#root;
    const queue = [root];
    for (const node of queue) {
      for (const [code, child] of node.children) {
        let fallback = node.fallback;
        while (fallback !== null && !fallback.children.has(code)) fallback = fallback.fallback;
        child.fallback = fallback?.children.get(code) ?? root;
        child.next = child.fallback.value === null ? child.fallback.next : child.fallback;
        queue.push(child);
      }
    }
    this.#isLinked = true;
  }
}
