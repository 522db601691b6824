import type { Kind } from "./summary.ts";

/** What one case asks of a proxy. */
export interface SyscallCase {
  readonly name: string;
  readonly protocol: "http1" | "tcp";
  readonly bodyBytes: number;
  readonly connections: number;
  /** Rounds in which every connection asks once. */
  readonly batches: number;
  /** The same before counting, so that compilation and pools are done. */
  readonly warmUpBatches: number;
  /**
   * Pause before each question and before each answer. With one, the proxy has always gone to sleep before the next
   * thing happens, and so the number of its turns is exact too.
   */
  readonly pauseMs: number;
}

/** Cases in which calls are counted for each request. */
export const CASES = {
  small: {
    name: "HTTP/1.1, 115 B, 64 at once",
    protocol: "http1",
    bodyBytes: 115,
    connections: 64,
    batches: 60,
    warmUpBatches: 80,
    pauseMs: 0,
  },
  alone: {
    name: "HTTP/1.1, 115 B, one at a time",
    protocol: "http1",
    bodyBytes: 115,
    connections: 1,
    batches: 500,
    warmUpBatches: 300,
    pauseMs: 2,
  },
  medium: {
    name: "HTTP/1.1, 10 KiB, 64 at once",
    protocol: "http1",
    bodyBytes: 10_240,
    connections: 64,
    batches: 40,
    warmUpBatches: 30,
    pauseMs: 0,
  },
  large: {
    name: "HTTP/1.1, 100 KiB, 16 at once",
    protocol: "http1",
    bodyBytes: 102_400,
    connections: 16,
    batches: 40,
    warmUpBatches: 30,
    pauseMs: 0,
  },
  stream: {
    name: "opaque TCP, 1 MiB, 8 at once",
    protocol: "tcp",
    bodyBytes: 1_048_576,
    connections: 8,
    batches: 20,
    warmUpBatches: 10,
    pauseMs: 0,
  },
} as const satisfies Record<string, SyscallCase>;

export type CaseName = keyof typeof CASES;

/** Calls of one kind, or of all kinds together, for one request. */
export type PerRequest = Readonly<Record<Kind | "total", number>>;
