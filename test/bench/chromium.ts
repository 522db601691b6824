import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";
import { until } from "../helpers/until.ts";

const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Path of an installed Chromium, or null. */
export function findChromium(): string | null {
  return PROGRAMS.find((path) => existsSync(path)) ?? null;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** How a page is shown. */
export interface View {
  readonly width: number;
  readonly scheme: "light" | "dark";
}

/** A headless browser with one page, driven over the DevTools protocol. */
export class Chromium {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (message: Message) => void>();
  /** Everything that the page told: console, log, network. */
  readonly events: Message[] = [];
  #id = 0;

  private constructor(child: ChildProcess, folder: string, socket: WebSocket) {
    this.#child = child;
    this.#folder = folder;
    this.#socket = socket;
    socket.on("message", (data) => {
      const message: Message = JSON.parse(String(data));
      if (message.id === undefined) this.events.push(message);
      else this.#waiting.get(message.id)?.(message);
    });
  }

  static async start(program: string): Promise<Chromium> {
    const folder = await mkdtemp(join(tmpdir(), "report-chromium-"));
    const flags = "--headless --no-sandbox --disable-gpu --disable-background-networking";
    const more = "--disable-sync --no-first-run --remote-debugging-port=0 about:blank";
    const args = [...`${flags} ${more}`.split(" "), `--user-data-dir=${folder}`];
    const child = spawn(program, args, { stdio: "ignore", detached: true });
    try {
      const socket = await connect(join(folder, "DevToolsActivePort"));
      const page = new Chromium(child, folder, socket);
      for (const one of ["Page", "Runtime", "Log", "Network"]) await page.send(`${one}.enable`);
      return page;
    } catch (error) {
      await end(child, folder);
      throw error;
    }
  }

  /** Calls a method of the protocol; rejects with what the browser says against it, and after 20 s. */
  async send(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#id;
    const { promise, resolve } = Promise.withResolvers<Message>();
    this.#waiting.set(id, resolve);
    this.#socket.send(JSON.stringify({ id, method, params }));
    let answer: Message | null = null;
    void promise.then((message) => {
      answer = message;
    });
    await until(() => answer !== null, { timeoutMs: 20_000, what: method });
    const { error, result } = await promise;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** Opens the address with this width and colour scheme, and waits until it is loaded. */
  async open(url: string, { width, scheme }: View): Promise<void> {
    const size = { width, height: 900, deviceScaleFactor: 1, mobile: false };
    await this.send("Emulation.setDeviceMetricsOverride", size);
    const features = [{ name: "prefers-color-scheme", value: scheme }];
    await this.send("Emulation.setEmulatedMedia", { features });
    this.events.length = 0;
    await this.send("Page.navigate", { url });
    const isLoaded = () => this.events.some(({ method }) => method === "Page.loadEventFired");
    await until(isLoaded, { timeoutMs: 20_000, what: "load" });
  }

  /** Value of a JavaScript expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.send("Runtime.evaluate", { expression, returnByValue: true });
    const { result, exceptionDetails } = answer as {
      readonly result: { readonly value?: unknown };
      readonly exceptionDetails?: unknown;
    };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  async close(): Promise<void> {
    this.#socket.terminate();
    await end(this.#child, this.#folder);
  }
}

/** The file holds the port and the path of the browser's socket; the page has one of its own. */
async function connect(portFile: string): Promise<WebSocket> {
  let port = "";
  const isReady = async () => {
    [port = ""] = (await readFile(portFile, "utf8").catch(() => "")).split("\n");
    return port !== "";
  };
  await until(isReady, { timeoutMs: 30_000, what: "start of Chromium" });
  const answer = await fetch(`http://127.0.0.1:${port}/json/list`);
  const targets = (await answer.json()) as { type: string; webSocketDebuggerUrl: string }[];
  const url = targets.find(({ type }) => type === "page")?.webSocketDebuggerUrl;
  if (url === undefined) throw new Error("Chromium has no page");
  const socket = new WebSocket(url, { maxPayload: 100_000_000 });
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  return socket;
}

/** The browser is a group of processes, which write to the folder until they have all gone. */
async function end(child: ChildProcess, folder: string): Promise<void> {
  const { pid } = child;
  if (pid !== undefined && child.exitCode === null && child.signalCode === null) {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    process.kill(-pid, "SIGKILL");
    await gone;
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}
