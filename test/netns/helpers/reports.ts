/** What the agent of a namespace (`agent.ts`) says of one HTTP request. */
export interface HttpAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text?: string;
  readonly error?: string;
  /** Of `machineMs`. */
  readonly sentMs: number;
  readonly doneMs: number;
}

/** What it says of one TCP exchange. */
export interface TcpAnswer {
  readonly text: string;
  /** From the start to the first byte received. */
  readonly firstMs: number | null;
  readonly ms: number;
  readonly error?: string;
}

/** What `load.ts` says. */
export interface LoadReport {
  readonly ok: number;
  readonly failed: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly byServer: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}
