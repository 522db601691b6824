import { useEffect, useRef, useState } from "preact/hooks";

export type Loaded<T> =
  | { readonly is: "loading" }
  | { readonly is: "there"; readonly value: T }
  | { readonly is: "failed"; readonly reason: string };

/**
 * Loads what is known of a subject, again when `version` changes or `reload` is called; what is there stays until the newer
 * is. Answers about earlier subjects are dropped.
 */
export function useLoaded<T>(
  subject: string,
  version: number,
  load: () => Promise<T>,
): [Loaded<T>, () => void] {
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState<Loaded<T>>({ is: "loading" });
  const last = useRef(subject);
  useEffect(() => {
    let isCurrent = true;
    if (last.current !== subject) setState({ is: "loading" });
    last.current = subject;
    load().then(
      (value) => isCurrent && setState({ is: "there", value }),
      (error: unknown) => isCurrent && setState({ is: "failed", reason: reasonOf(error) }),
    );
    return () => {
      isCurrent = false;
    };
  }, [subject, version, turn]);
  return [state, () => setTurn((count) => count + 1)];
}

/** A value that follows another, but changes so often at most: where hosts come and go revisions change all the time. */
export function useSlowly<T>(value: T, everyMs: number): T {
  const [slow, setSlow] = useState(value);
  const changedMs = useRef(Number.NEGATIVE_INFINITY);
  useEffect(() => {
    if (value === slow) return;
    const change = () => {
      changedMs.current = performance.now();
      setSlow(value);
    };
    const waitMs = changedMs.current + everyMs - performance.now();
    if (waitMs <= 0) return change();
    const timer = setTimeout(change, waitMs);
    return () => clearTimeout(timer);
  }, [value, slow, everyMs]);
  return slow;
}

export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "TimeoutError" ? "the server did not answer in time" : error.message;
}
