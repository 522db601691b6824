/** What `mesh-echo.ts` is asked to send. */
export interface EchoCall {
  readonly protocol: "http" | "grpc";
  /** What is dialled. */
  readonly address: string;
  readonly port: number;
  /** What the request names: Host, or `:authority`. */
  readonly authority: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What it saw of a request. */
export interface EchoSeen {
  readonly hostname: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly protocol: string;
  /** By name in lower case, each line of its own. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** What came of a call. */
export interface EchoAnswer {
  /** Of HTTP, or gRPC's code; null: no answer. */
  readonly status: number | null;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  /** Null: it was not answered by an echo application. */
  readonly seen: EchoSeen | null;
  /** What came instead. */
  readonly error?: string;
}
