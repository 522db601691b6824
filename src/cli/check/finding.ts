/** `skipped`: it could not be looked at here, and the text says why. */
export type Verdict = "ok" | "warning" | "failure" | "skipped";

/** One line of `hostmesh check`. */
export interface Finding {
  readonly verdict: Verdict;
  readonly text: string;
  /** What to do about it; every warning and failure has one. */
  readonly remedy?: string;
}

/** A group of lines under one title. */
export interface CheckGroup {
  readonly title: string;
  run(): Promise<readonly Finding[]>;
}

export const ok = (text: string): Finding => ({ verdict: "ok", text });
export const skipped = (text: string): Finding => ({ verdict: "skipped", text });
export const warning = (text: string, remedy: string): Finding => ({
  verdict: "warning",
  text,
  remedy,
});
export const failure = (text: string, remedy: string): Finding => ({
  verdict: "failure",
  text,
  remedy,
});
