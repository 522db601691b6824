import { Client } from "./client.ts";
import type { Gate } from "./gate.ts";
import { WORKLOAD_ADDRESS } from "./scratch-plane.ts";
import type { Script } from "./script.ts";
import { Settling } from "./settling.ts";

export interface CrewOptions {
  /** Where the clients connect to, on loopback. */
  readonly port: number;
  readonly scripts: readonly Script[];
  readonly gate: Gate;
  /** It ends after this time, settled or not. */
  readonly limitMs: number;
  /** Ends it at once. */
  readonly signal: AbortSignal;
}

/** What a crew did. `settled`: requests had stopped becoming cheaper before the time was over. */
export interface CrewResult {
  readonly requests: number;
  readonly durationMs: number;
  readonly settled: boolean;
}

/** Clients at a time. */
const CLIENTS = 16;
/** Requests whose cost is compared with that of those before; enough of them to hold every kind. */
const BATCH = 400;
/** A source address that is no workload's; elsewhere than on Linux loopback has but one address. */
const STRANGER = process.platform === "linux" ? "127.0.0.2" : undefined;

/** Clients that run the scripts over and over, each on a new connection, until that gets no cheaper. */
export class Crew {
  readonly #options: CrewOptions;
  readonly #clients = new Set<Client>();
  readonly #settling = new Settling();
  readonly #done = Promise.withResolvers<CrewResult>();
  readonly #startMs = performance.now();
  #timer: NodeJS.Timeout | null = null;
  #begun = 0;
  #requests = 0;
  #cpuMicros = 0;

  constructor(options: CrewOptions) {
    this.#options = options;
  }

  /** Resolves when it is settled, or out of time. Rejects when a client fails: something is odd with loopback. */
  run(): Promise<CrewResult> {
    const { limitMs, signal } = this.#options;
    this.#cpuMicros = threadCpuMicros();
    this.#timer = setTimeout(() => this.#end(false), limitMs);
    signal.addEventListener("abort", () => this.#end(false), { once: true });
    if (signal.aborted) this.#end(false);
    else for (let at = 0; at < CLIENTS; at++) this.#begin();
    return this.#done.promise;
  }

  #begin(): void {
    const { port, scripts, gate } = this.#options;
    const turn = this.#begun++;
    const script = scripts[turn % scripts.length];
    if (script === undefined) throw new RangeError("a warm-up without scripts");
    // In the next round each script has the other kind of client.
    const round = Math.floor(turn / scripts.length);
    const localAddress = (turn % scripts.length) % 2 === round % 2 ? WORKLOAD_ADDRESS : STRANGER;
    const client = new Client(script, {
      ...{ port, localAddress },
      onConnected: (socket) => gate.expect(socket, script.guest),
      onStep: () => this.#count(),
      onEnd: (error) => {
        this.#clients.delete(client);
        if (error === null) this.#begin();
        else this.#fail(error);
      },
    });
    this.#clients.add(client);
  }

  #count(): void {
    this.#requests += 1;
    if (this.#requests % BATCH !== 0) return;
    const micros = threadCpuMicros();
    const cost = micros - this.#cpuMicros;
    this.#cpuMicros = micros;
    if (this.#settling.add(cost)) this.#end(true);
  }

  #end(settled: boolean): void {
    const durationMs = performance.now() - this.#startMs;
    this.#close();
    this.#done.resolve({ requests: this.#requests, durationMs, settled });
  }

  #fail(error: Error): void {
    this.#close();
    this.#done.reject(error);
  }

  #close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const client of this.#clients) client.destroy();
    this.#clients.clear();
  }
}

/** What this thread has used; other threads and processes do not disturb it. */
function threadCpuMicros(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
