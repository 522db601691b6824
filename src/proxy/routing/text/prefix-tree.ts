interface Node<Value> {
  /** Text between the parent and here; never empty but at the root. */
  label: string;
  readonly children: Map<number, Node<Value>>;
  value: Value | null;
}

/**
 * Finds all stored texts that a given text begins with, in time that depends on that text and not on how many are
 * stored: a radix tree. Backwards it finds those that the text ends with.
 */
export class PrefixTree<Value> {
  readonly #backwards: boolean;
  readonly #root: Node<Value> = { label: "", children: new Map(), value: null };

  constructor(direction: "forwards" | "backwards") {
    this.#backwards = direction === "backwards";
  }

  /** The value stored under a text, made where there is none. */
  at(text: string, make: () => Value): Value {
    const node = this.#place(this.#backwards ? reversed(text) : text);
    node.value ??= make();
    return node.value;
  }

  /** Appends what is stored under all beginnings (or ends) of the text. */
  collect(text: string, into: Value[]): void {
    let node: Node<Value> | undefined = this.#root;
    let at = 0;
    while (node !== undefined) {
      if (!this.#continues(text, at, node.label)) return;
      at += node.label.length;
      if (node.value !== null) into.push(node.value);
      if (at >= text.length) return;
      node = node.children.get(this.#code(text, at));
    }
  }

  #code(text: string, at: number): number {
    return text.charCodeAt(this.#backwards ? text.length - 1 - at : at);
  }

  #continues(text: string, at: number, label: string): boolean {
    if (!this.#backwards) return text.startsWith(label, at);
    if (at + label.length > text.length) return false;
    for (let index = 0; index < label.length; index++) {
      if (this.#code(text, at + index) !== label.charCodeAt(index)) return false;
    }
    return true;
  }

  #place(text: string): Node<Value> {
    let node = this.#root;
    let rest = text;
    while (rest !== "") {
      const child = node.children.get(rest.charCodeAt(0));
      if (child === undefined) {
        const leaf: Node<Value> = { label: rest, children: new Map(), value: null };
        node.children.set(rest.charCodeAt(0), leaf);
        return leaf;
      }
      const shared = sharedLength(child.label, rest);
      node = shared === child.label.length ? child : split(node, child, shared);
      rest = rest.slice(shared);
    }
    return node;
  }
}

/** Puts a node for the first `length` characters of the child's label between parent and child. */
function split<Value>(parent: Node<Value>, child: Node<Value>, length: number): Node<Value> {
  const middle: Node<Value> = {
    label: child.label.slice(0, length),
    children: new Map([[child.label.charCodeAt(length), child]]),
    value: null,
  };
  parent.children.set(middle.label.charCodeAt(0), middle);
  child.label = child.label.slice(length);
  return middle;
}

function sharedLength(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  return at;
}

function reversed(text: string): string {
  let out = "";
  for (let at = text.length - 1; at >= 0; at--) out += text[at];
  return out;
}
