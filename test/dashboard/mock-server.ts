import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type WebSocket, WebSocketServer } from "ws";
import type {
  Backend,
  ConfigResource,
  PageReport,
  Role,
} from "../../src/dashboard/page/net/types.ts";
import type { TapEvent, TapFilter } from "../../src/sight/tap-event.ts";
import { EVERY_MS, START_MS } from "./mock-mesh.ts";

/** The policy under which the page has to work. */
export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const TYPES: Readonly<Record<string, string>> = {
  html: "text/html",
  js: "text/javascript",
  css: "text/css",
};
const CSRF = "mock-csrf";
export const TOKEN = "mock-token";

export interface MockOptions {
  readonly report: (turn: number) => PageReport;
  /** Reports that are sent at once when somebody comes, as if 2 s lay between them. */
  readonly past?: number;
  readonly role?: Role;
  readonly isLoginNeeded?: boolean;
  /** Folder with the built page. */
  readonly folder: string;
}

type Answer = readonly [status: number, body: unknown];

/** A stand-in for the dashboard's server, over real sockets. Reports go out when `tick` is called. */
export class MockServer {
  readonly #options: MockOptions;
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #taps = new Map<WebSocket, TapFilter>();
  #turn: number;
  #hasSession: boolean;
  /** Splits that were written, newest last. */
  readonly written: unknown[] = [];
  /** Every request's method and address, to see that no secret is in one. */
  readonly seen: string[] = [];
  backends: readonly Backend[] = [
    { name: "v1", weight: 90 },
    { name: "v2", weight: 10 },
  ];
  revision = 42;
  isWritable = true;
  /** What the next PUT is answered with in place of 200. */
  refusal: { status: number; message: string } | null = null;

  constructor(options: MockOptions) {
    this.#options = options;
    this.#turn = options.past ?? 1;
    this.#hasSession = options.isLoginNeeded !== true;
  }

  async start(port = 0): Promise<string> {
    this.#server.on("upgrade", (request, socket, head) => {
      this.seen.push(`UPGRADE ${request.url}`);
      if (!this.#hasSession) socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
      else this.#sockets.handleUpgrade(request, socket, head, (client) => this.#welcome(client));
    });
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get clients(): number {
    return this.#sockets.clients.size;
  }

  get taps(): TapFilter[] {
    return [...this.#taps.values()];
  }

  /** Sends the next report to everybody. */
  tick(): void {
    this.#turn += 1;
    for (const client of this.#sockets.clients) this.#sendReport(client, this.#turn);
  }

  /** Sends events to all taps that run. */
  tap(count: number): void {
    for (const client of this.#taps.keys()) {
      for (let at = 0; at < count; at++) {
        client.send(JSON.stringify({ type: "tap", item: { type: "event", event: tapEvent(at) } }));
      }
      client.send(
        JSON.stringify({ type: "tap", item: { type: "skipped", host: "node-a", events: 7 } }),
      );
    }
  }

  /** Null: their time is over. */
  endTaps(reason: string | null): void {
    for (const client of this.#taps.keys())
      client.send(JSON.stringify({ type: "tap-end", reason }));
  }

  /** Ends all sockets, as a registry that stops does. */
  cut(): void {
    for (const client of this.#sockets.clients) client.terminate();
  }

  endSession(): void {
    this.#hasSession = false;
    this.cut();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #welcome(client: WebSocket): void {
    const { past = 1 } = this.#options;
    for (let turn = Math.max(1, this.#turn - past + 1); turn <= this.#turn; turn++) {
      this.#sendReport(client, turn);
    }
    client.on("message", (data) => {
      const message = JSON.parse(String(data)) as { type: string; filter?: TapFilter };
      if (message.type === "tap") this.#taps.set(client, message.filter ?? {});
      if (message.type === "tap-end") this.#taps.delete(client);
    });
    client.on("close", () => this.#taps.delete(client));
  }

  #sendReport(client: WebSocket, turn: number): void {
    const report = { ...this.#options.report(turn), revision: this.revision };
    client.send(JSON.stringify({ type: "report", report }));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? "/", "http://mock");
    this.seen.push(`${request.method} ${request.url}`);
    response.setHeader("content-security-policy", CSP);
    response.setHeader("x-content-type-options", "nosniff");
    if (!pathname.startsWith("/api/")) return this.#file(pathname, response);
    const body = await text(request);
    if (request.method !== "GET" && request.headers["x-hostmesh-csrf"] !== CSRF) {
      return this.#json(response, 403, { error: { message: "the CSRF token is missing" } });
    }
    const open = ["/api/session", "/api/login"];
    if (!this.#hasSession && !open.includes(pathname)) {
      return this.#json(response, 401, { error: { message: "log in" } });
    }
    this.#json(response, ...this.#api(`${request.method} ${pathname}`, body));
  }

  /** Status and body of the answer. */
  #api(what: string, body: string): Answer {
    const { role = "editor", isLoginNeeded = false } = this.#options;
    if (what === "GET /api/session") {
      const user = this.#hasSession && isLoginNeeded ? "ann" : "";
      const own = this.#hasSession ? role : null;
      return [200, { user, role: own, loginNeeded: !this.#hasSession, csrf: CSRF }];
    }
    if (what === "POST /api/login") {
      this.#hasSession = JSON.parse(body).token === TOKEN;
      return this.#hasSession ? [200, {}] : [401, { error: { message: "unknown" } }];
    }
    if (what === "POST /api/logout") {
      this.endSession();
      return [200, {}];
    }
    if (what === "GET /api/config") return [200, { resources: RESOURCES }];
    if (/^GET \/api\/services\/[^/]+\/[^/]+$/.test(what)) return [200, APPLIED];
    if (/^GET .*\/split$/.test(what)) return [200, this.#split(what)];
    if (what === "POST /api/split-preview") {
      return [200, { yaml: yamlOf(JSON.parse(body).backends) }];
    }
    if (/^PUT .*\/split$/.test(what)) return this.#write(JSON.parse(body));
    return [404, { error: { message: "there is no such thing" } }];
  }

  #split(what: string): object {
    if (!what.includes("/shop/reviews/")) {
      return {
        resource: null,
        writable: false,
        reason: "it has no subsets to split between",
        backends: [],
        yaml: "",
      };
    }
    const resource = { kind: "VirtualService", namespace: "shop", name: "reviews" };
    return {
      resource,
      backends: this.backends,
      reason: "the caller's requests follow it",
      writable: this.isWritable,
      yaml: yamlOf(this.backends),
      revision: this.revision,
    };
  }

  #write(change: { backends: Backend[]; revision: number }): Answer {
    if (this.refusal !== null) {
      const { status, message } = this.refusal;
      return [status, { error: { message } }];
    }
    this.written.push(change);
    this.backends = change.backends;
    this.revision += 1;
    return [200, { applied: true, revision: this.revision, yaml: yamlOf(change.backends) }];
  }

  async #file(path: string, response: ServerResponse): Promise<void> {
    const name = path === "/" ? "index.html" : path.slice(1);
    const type = TYPES[name.split(".").at(-1) ?? ""];
    const bytes = await readFile(join(this.#options.folder, name)).catch(() => null);
    if (bytes === null || type === undefined) return this.#json(response, 404, {});
    response.setHeader("content-type", type);
    response.end(bytes);
  }

  #json(response: ServerResponse, status: number, answer: unknown): void {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(answer));
  }
}

const APPLIED = {
  routes: [],
  resources: [
    { kind: "VirtualService", namespace: "shop", name: "reviews" },
    { kind: "DestinationRule", namespace: "shop", name: "reviews" },
  ],
  policies: [{ kind: "AuthorizationPolicy", namespace: "shop", name: "frontend-only" }],
};

const RESOURCES: readonly ConfigResource[] = [
  {
    ...{ kind: "VirtualService", namespace: "shop", name: "reviews", revision: 42 },
    ...{ appliedMs: START_MS - 90_000, status: "refused" },
    findings: [
      {
        path: "spec.http[0].route[1].destination.subset",
        message: 'no subset is named "v9"',
        hint: "DestinationRule shop/reviews has the subsets v1 and v2",
      },
    ],
    document: "kind: VirtualService\nmetadata:\n  name: reviews\n",
  },
  {
    ...{ kind: "DestinationRule", namespace: "shop", name: "reviews", revision: 31 },
    ...{ appliedMs: START_MS - 7_200_000, status: "accepted", findings: [] },
    document: { kind: "DestinationRule", metadata: { name: "reviews" } },
  },
  {
    ...{ kind: "AuthorizationPolicy", namespace: "shop", name: "frontend-only", revision: 12 },
    ...{ appliedMs: null, status: "warning" },
    findings: [{ path: "spec.rules[0]", message: "the rule matches nobody", hint: null }],
    document: "kind: AuthorizationPolicy\n",
  },
];

export function yamlOf(backends: readonly Backend[]): string {
  const lines = backends.map(
    ({ name, weight }) =>
      `    - destination:\n        host: reviews\n        subset: ${name}\n      weight: ${weight}`,
  );
  return `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews\n  namespace: shop\nspec:\n  hosts: [reviews]\n  http:\n  - route:\n${lines.join("\n")}\n`;
}

function tapEvent(at: number): TapEvent {
  const isFailed = at % 5 === 0;
  return {
    ...{ host: "node-a", atMs: START_MS + at * 37, entry: "capture", protocol: "http" },
    ...{ httpVersion: "1.1", source: "shop/frontend", sourceAddress: "10.42.0.9" },
    ...{ destination: "shop/reviews", route: "default", endpoint: `reviews-${1 + (at % 3)}` },
    ...{ endpointAddress: "10.42.1.32:8080", security: "mutual_tls", method: "GET" },
    ...{ authority: "reviews", path: `/reviews/${at}`, status: isFailed ? 503 : 200 },
    ...{ grpcStatus: null, error: isFailed ? "NO_ENDPOINT" : null, flag: "-" },
    ...{ requestBytes: 180, responseBytes: 2_204, durationMs: 8 + at, attempts: 1 },
    ...{ requestId: `request-${at}`, traceId: "4bf92f3577b34da6a3ce929d0e0e4736" },
    requestHeaders: [
      ["accept", "application/json"],
      ["authorization", "[redacted]"],
    ],
  };
}

// `node test/dashboard/mock-server.ts` serves the shop for whoever works on the page.
if (import.meta.main) {
  const { shopReport, largeReport } = await import("./mock-mesh.ts");
  const folder = join(import.meta.dirname, "../../src/dashboard/built");
  const report = process.argv[2] === "large" ? largeReport : shopReport;
  const server = new MockServer({ report: (turn) => report(turn), past: 90, folder });
  console.log(await server.start(Number(process.argv[3] ?? 0)));
  setInterval(() => {
    server.tick();
    server.tap(5);
  }, EVERY_MS);
}
