import { useEffect, useState } from "preact/hooks";

export type Loaded<T> =
  | { readonly is: "loading" }
  | { readonly is: "there"; readonly value: T }
  | { readonly is: "failed"; readonly reason: string };

/** Loads something when `key` changes or `reload` is called; answers to earlier keys are dropped. */
export function useLoaded<T>(key: string, load: () => Promise<T>): [Loaded<T>, () => void] {
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState<Loaded<T>>({ is: "loading" });
  useEffect(() => {
    let isCurrent = true;
    setState({ is: "loading" });
    load().then(
      (value) => isCurrent && setState({ is: "there", value }),
      (error: unknown) => isCurrent && setState({ is: "failed", reason: reasonOf(error) }),
    );
    return () => {
      isCurrent = false;
    };
  }, [key, turn]);
  return [state, () => setTurn((count) => count + 1)];
}

export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "TimeoutError" ? "the server did not answer in time" : error.message;
}
