import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import type { MeshSight } from "../../../src/dashboard/server/mesh-sight.ts";
import {
  type DashboardOptions,
  type RunningDashboard,
  startDashboard,
} from "../../../src/dashboard/server/start-dashboard.ts";
import { makeToken } from "../../../src/dashboard/server/tokens.ts";
import type { RunningRegistry } from "../../../src/registry/registry.ts";
import type { MeshReport } from "../../../src/sight/mesh-report.ts";
import type { TapItem } from "../../../src/sight/tap-event.ts";
import { keepingLog, tempFolder, testRegistry } from "../../registry/setup.ts";

/** Daemons that say what a test wants. */
export class FakeSight implements MeshSight {
  readonly watchers = new Set<(report: MeshReport) => void>();
  readonly taps: {
    filter: object;
    onItem: (item: TapItem) => void;
    onEnd: (reason: string | null) => void;
    isOver: boolean;
  }[] = [];
  current = reportAt(1);

  report(): Promise<MeshReport> {
    return Promise.resolve(this.current);
  }

  watch(_everyMs: number, onReport: (report: MeshReport) => void): () => void {
    this.watchers.add(onReport);
    return () => this.watchers.delete(onReport);
  }

  /** Another round. */
  tell(report: MeshReport): void {
    this.current = report;
    for (const watcher of this.watchers) watcher(report);
  }

  ask(host: string): Promise<unknown> {
    return host === "h1" ? Promise.resolve({ host }) : Promise.reject(new Error("it is silent"));
  }

  tap(
    filter: object,
    _limits: object,
    _hosts: unknown,
    onItem: (item: TapItem) => void,
    onEnd: (reason: string | null) => void,
  ) {
    const tap = { filter, onItem, onEnd, isOver: false };
    this.taps.push(tap);
    return () => {
      tap.isOver = true;
    };
  }
}

export function reportAt(atMs: number): MeshReport {
  const none = { hosts: [], services: [], sources: [], edges: [], routes: [], recentErrors: [] };
  return { atMs, windowMs: 10_000, revision: 1, ...none };
}

export interface Lab {
  readonly dashboard: RunningDashboard;
  readonly registry: RunningRegistry;
  readonly sight: FakeSight;
  readonly log: ReturnType<typeof keepingLog>;
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
}

export async function startLab(
  t: TestContext,
  options: Partial<DashboardOptions> = {},
): Promise<Lab> {
  const registry = await testRegistry(t);
  const sight = new FakeSight();
  const log = keepingLog();
  const dashboard = await startDashboard({
    ...{ bind: "127.0.0.1", port: 0, usersFile: "", tlsCertFile: "", tlsKeyFile: "" },
    ...{ sessionIdleMs: 60_000, sessionMaxMs: 600_000, sight, log },
    mesh: { ...registry.inside, source: null },
    pageFolder: await pageFolder(t),
    ...options,
  });
  t.after(() => dashboard.close());
  return { dashboard, registry, sight, log, origin: dashboard.url.replace(/\/$/, "") };
}

/** A page of a few files. */
async function pageFolder(t: TestContext): Promise<string> {
  const folder = await tempFolder(t);
  await mkdir(join(folder, "assets"));
  await writeFile(join(folder, "index.html"), "<!doctype html><title>hostmesh</title>");
  await writeFile(join(folder, "assets/index-AbCd1234.js"), "console.log(1);\n".repeat(200));
  await writeFile(join(folder, "favicon.svg"), "<svg/>");
  return folder;
}

/** A users file with these users, and their tokens. */
export async function usersFile(
  t: TestContext,
  users: Readonly<Record<string, { role: string; tap?: boolean }>>,
): Promise<{ path: string; tokens: Record<string, string>; text: string }> {
  const path = join(await tempFolder(t), "users.yaml");
  const tokens: Record<string, string> = {};
  const lines = ["users:"];
  for (const [name, { role, tap }] of Object.entries(users)) {
    const { token, hash } = await makeToken(name);
    tokens[name] = token;
    const more = tap === undefined ? "" : `, tap: ${tap}`;
    lines.push(`  - {name: ${name}, role: ${role}, hash: "${hash}"${more}}`);
  }
  const text = `${lines.join("\n")}\n`;
  await writeFile(path, text);
  return { path, tokens, text };
}

export interface PageAnswer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the API answers.
  readonly body: any;
  readonly headers: Headers;
}

/** A browser with the dashboard open: keeps its cookie and the token against forgery. */
export class Browser {
  readonly #origin: string;
  cookie = "";
  csrf = "";

  constructor(origin: string) {
    this.#origin = origin;
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<PageAnswer> {
    const response = await fetch(`${this.#origin}${path}`, {
      method,
      headers: {
        ...(this.cookie === "" ? {} : { cookie: this.cookie }),
        ...(method === "GET" ? {} : { origin: this.#origin, "x-hostmesh-csrf": this.csrf }),
        ...headers,
      },
      signal: AbortSignal.timeout(20_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const [set] = response.headers.getSetCookie();
    if (set !== undefined) this.cookie = set.split(";")[0]?.replace(/=$/, "") ?? "";
    if (this.cookie === "hostmesh_session") this.cookie = "";
    const text = await response.text();
    const isJson = response.headers.get("content-type") === "application/json";
    return {
      status: response.status,
      body: isJson && text !== "" ? JSON.parse(text) : text,
      headers: response.headers,
    };
  }

  async open(): Promise<PageAnswer["body"]> {
    const { body } = await this.call("GET", "/api/session");
    this.csrf = body.csrf;
    return body;
  }

  async login(token: string): Promise<PageAnswer> {
    await this.open();
    const answer = await this.call("POST", "/api/login", { token });
    await this.open();
    return answer;
  }

  /** Opens `/api/live`; rejects with the status of a refusal. */
  async live(headers: Record<string, string> = {}): Promise<LivePage> {
    const client = new WebSocket(`${this.#origin.replace(/^http/, "ws")}/api/live`, {
      headers: { origin: this.#origin, cookie: this.cookie, ...headers },
    });
    const page = new LivePage(client);
    await new Promise<void>((resolve, reject) => {
      client.once("open", resolve);
      client.once("unexpected-response", (_, answer) => reject(new Error(`${answer.statusCode}`)));
      client.once("error", reject);
    });
    return page;
  }
}

/** The page's end of `/api/live`. */
export class LivePage {
  readonly client: WebSocket;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the API sends.
  readonly messages: any[] = [];
  closed: { readonly code: number; readonly reason: string } | null = null;

  constructor(client: WebSocket) {
    this.client = client;
    client.on("message", (data) => this.messages.push(JSON.parse(String(data))));
    client.on("error", () => undefined);
    client.on("close", (code, reason) => {
      this.closed = { code, reason: String(reason) };
    });
  }

  say(message: unknown): void {
    this.client.send(typeof message === "string" ? message : JSON.stringify(message));
  }
}

/** What a server answers to raw bytes, until it closes. */
export async function rawAnswer(port: number, bytes: string | Buffer): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  const answer = collect(socket);
  socket.write(bytes);
  return answer;
}

export async function collect(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (part) => {
    text += String(part);
  });
  socket.on("error", () => undefined);
  const late = new AbortController();
  await Promise.race([
    once(socket, "close"),
    delay(20_000, undefined, { signal: late.signal }).catch(() => undefined),
  ]);
  late.abort();
  socket.destroy();
  return text;
}
