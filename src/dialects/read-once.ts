/**
 * Reads what others translate by, once for as long as the content is kept: of a pod, a slice or a node many resources
 * want to know something, each time that one of them changes.
 */
export function readOnce<T>(read: (content: unknown) => T): (content: unknown) => T {
  const known = new WeakMap<object, { readonly value: T }>();
  return (content) => {
    if (typeof content !== "object" || content === null) return read(content);
    const before = known.get(content);
    if (before !== undefined) return before.value;
    const value = read(content);
    known.set(content, { value });
    return value;
  };
}
