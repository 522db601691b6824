/**
 * One program of the demo application; a container of its own where the host allows that. What it speaks is
 * not declared: the proxy has to find out.
 */
export interface DemoInstance {
  readonly name: string;
  /** The service that it is an endpoint of; null: a client only. */
  readonly service: string | null;
  /** File in `programs/`, without its ending. */
  readonly program: string;
  /** Port inside its container. */
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  /** Label by which the traffic split tells endpoints apart; null: it has none. */
  readonly version: string | null;
  /** Shown to the user. */
  readonly note: string;
}

export const TICKER_PORT = 7000;
/** Requests per second of the load generator. */
export const DEMO_RATE = 50;

const http = (
  name: string,
  service: string,
  env: Readonly<Record<string, string>>,
  note: string,
  version: string | null = null,
): DemoInstance => ({
  name,
  service,
  program: service,
  port: 80,
  env: { ...env, INSTANCE: name },
  ...{ version, note },
});

/** The demo application: four services and a client. The order is the order of their addresses. */
export const DEMO_INSTANCES: readonly DemoInstance[] = [
  {
    name: "client",
    service: null,
    program: "load",
    port: 0,
    env: { TARGET: "http://front/", RATE: String(DEMO_RATE) },
    version: null,
    note: `calls front ${DEMO_RATE} times a second`,
  },
  http("front", "front", { TICKER_PORT: String(TICKER_PORT) }, "calls catalog, store and ticker"),
  http("catalog-steady", "catalog", { LATENCY_MS: "8" }, "answers in about 8 ms"),
  http("catalog-slow", "catalog", { LATENCY_MS: "80" }, "ten times slower"),
  http("store", "store", { LATENCY_MS: "3" }, "version v1, answers in about 3 ms", "v1"),
  http(
    "store-flaky",
    "store",
    { LATENCY_MS: "3", FAILURE_RATE: "0.2" },
    "version v2, fails one request in five",
    "v2",
  ),
  {
    name: "ticker",
    service: "ticker",
    program: "ticker",
    port: TICKER_PORT,
    env: { INSTANCE: "ticker" },
    version: null,
    note: "opaque TCP, speaks first",
  },
];

/** Prefix of everything that the demo registers or creates under a name of its own. */
export const DEMO_PREFIX = "hmdemo-";
