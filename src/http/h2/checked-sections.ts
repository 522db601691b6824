/** Field sections of one connection that were checked: one that repeats is checked once. */
export class CheckedSections {
  readonly #fine = new WeakSet<readonly string[]>();

  /** What `check` finds wrong with the section, or null. `repeats`: it is the very list that one before it was. */
  faultOf(
    fields: readonly string[],
    repeats: boolean,
    check: (fields: readonly string[]) => string | null,
  ): string | null {
    if (repeats && this.#fine.has(fields)) return null;
    const fault = check(fields);
    if (repeats && fault === null) this.#fine.add(fields);
    return fault;
  }
}
