import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { CaptureSpec } from "../../../iptables/spec.ts";
import { captureSpec } from "../../helpers/capture-spec.ts";
import type { Namespace } from "./namespace.ts";

/** What `dial` learned: who answered, or the error. */
export interface Dialled {
  readonly by: "app" | "proxy" | "inbound" | "error";
  readonly client?: string;
  readonly destination?: { readonly host: string; readonly port: number };
  readonly code?: string;
  readonly ms?: number;
}

const script = (name: string): string => fileURLToPath(new URL(`./${name}.ts`, import.meta.url));

/** A spec whose dead-man entry outlives the test. */
export function spec(overrides: Partial<CaptureSpec> = {}): CaptureSpec {
  return captureSpec({ deadManMs: 60_000, proxyPorts: [4_140, 15_001], ...overrides });
}

/** Starts a helper script in a namespace and waits until it says that it is ready. */
export async function start(namespace: Namespace, name: string, ...args: string[]) {
  const child = namespace.spawn(process.execPath, [script(name), ...args]);
  showErrors(child);
  const [line] = await once(createInterface({ input: child.stdout! }), "line");
  if (line !== "ready") throw new Error(`${name} said ${line}`);
  return child;
}

/** Not by `pipe`, which would hang listeners for each on this process's standard error. */
function showErrors({ stderr }: ChildProcess): void {
  stderr?.on("data", (text) => process.stderr.write(text));
}

/** One process per namespace that dials on demand: starting one for each connection is what takes long. */
class Dialler {
  static readonly #all = new WeakMap<Namespace, Dialler>();
  readonly #child;
  readonly #waiting = new Map<number, (outcome: Dialled) => void>();
  #last = 0;

  constructor(namespace: Namespace) {
    this.#child = namespace.spawn(process.execPath, [script("dial")]);
    showErrors(this.#child);
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      const { id, ...outcome }: Dialled & { id: number } = JSON.parse(line);
      this.#waiting.get(id)?.(outcome);
      this.#waiting.delete(id);
    });
  }

  static of(namespace: Namespace): Dialler {
    const known = Dialler.#all.get(namespace) ?? new Dialler(namespace);
    Dialler.#all.set(namespace, known);
    return known;
  }

  dial(address: string, port: number, timeoutMs: number): Promise<Dialled> {
    this.#last += 1;
    const id = this.#last;
    this.#child.stdin!.write(`${JSON.stringify({ id, address, port, timeoutMs })}\n`);
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }
}

/** One connection from inside a namespace. */
export function dial(
  namespace: Namespace,
  address: string,
  port: number,
  timeoutMs = 3_000,
): Promise<Dialled> {
  return Dialler.of(namespace).dial(address, port, timeoutMs);
}

/** A connection that stays: lines that are sent are answered by the echo of the application. */
export class HeldConnection {
  readonly #child;
  readonly #lines: Interface;

  constructor(namespace: Namespace, address: string, port: number) {
    const args = [script("dial"), address, String(port)];
    this.#child = namespace.spawn(process.execPath, args);
    this.#lines = createInterface({ input: this.#child.stdout! });
  }

  async next(): Promise<string> {
    const [line] = await once(this.#lines, "line", { signal: AbortSignal.timeout(5_000) });
    return String(line);
  }

  /** Sends, and resolves once the connection is gone. */
  async breaks(text: string): Promise<void> {
    const gone = once(this.#child, "exit", { signal: AbortSignal.timeout(5_000) });
    this.#child.stdin!.write(`${text}\n`);
    await gone;
  }

  async echo(text: string): Promise<string> {
    const answer = this.next();
    this.#child.stdin!.write(`${text}\n`);
    return answer;
  }
}

/** Everything that installation may touch, without the lines that hold a time of day. */
export async function footprint(namespace: Namespace): Promise<string> {
  const text = await namespace.script(`
    iptables-save; ip6tables-save
    ip rule show; ip -6 rule show
    ip route show table all; ip -6 route show table all
    ipset save
    nft list chains
  `);
  return text.replace(/^#.*\n/gm, "");
}
