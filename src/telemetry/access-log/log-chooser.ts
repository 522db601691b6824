import type { RequestFacts } from "../../core/facts.ts";
import { endedBadly } from "../../core/grpc.ts";
import { type LogForm, type LogMark, type LogSwitches, logMarkOf } from "../../core/log-mark.ts";
import { keyOf } from "../../core/model.ts";
import type { Random } from "../../core/random.ts";
import type { DataEndpoint, DataService, DataUpdate, DataWorkload } from "../../core/snapshot.ts";
import { traceIdOf } from "../trace-context.ts";

/** In which form an exchange is written; `off`: not at all. */
export type Chosen = "off" | "json" | "text";

interface Said {
  readonly form: Chosen;
  readonly sample: number;
}

const OFF: Said = { form: "off", sample: 0 };
/** The share is compared with so many bits of the trace id. */
const SAMPLE_BITS = 32;

/**
 * Decides which exchanges are written. What is said of the caller or of the called workload goes before the default; where
 * both are spoken of, the one that wants more has its way. Whether an exchange falls into a sample is a function of its trace
 * id, or else of its request id, so that both hosts of a call write the same ones.
 */
export class LogChooser {
  readonly #own: "json" | "text";
  readonly #random: Random;
  readonly #warn: (workload: string, name: string, message: string) => void;
  #switches: LogSwitches;
  readonly #byKey = new Map<string, DataWorkload>();
  readonly #byAddress = new Map<string, DataWorkload>();
  /** Marks of registrations, by key of the workload. */
  readonly #marks = new Map<string, LogMark>();
  /** Marks in the `Meta` of local endpoints, and by service those that have some. */
  readonly #byEndpoint = new WeakMap<DataEndpoint, LogMark>();
  readonly #marked = new Map<string, readonly LogMark[]>();

  /** `own`: what `on` means. */
  constructor(
    own: "json" | "text",
    switches: LogSwitches,
    random: Random,
    warn: (workload: string, name: string, message: string) => void,
  ) {
    this.#own = own;
    this.#switches = switches;
    this.#random = random;
    this.#warn = warn;
  }

  set switches(switches: LogSwitches) {
    this.#switches = switches;
  }

  /** May anything be written at all? */
  get isOn(): boolean {
    const { default: usual, errors, workloads } = this.#switches;
    if (usual.form !== "off" || errors) return true;
    const isOn = ({ form }: LogMark) => form !== undefined && form !== "off";
    const said = [...this.#marks.values(), ...[...this.#marked.values()].flat()];
    return Object.values(workloads).some(isOn) || said.some(isOn);
  }

  /** Takes what registrations say. */
  apply({ full, services, removedServices, workloads, removedWorkloads }: DataUpdate): void {
    if (full) {
      for (const key of [...this.#byKey.keys()]) this.#forget(key);
      this.#marked.clear();
    }
    for (const key of removedServices) this.#marked.delete(key);
    for (const service of services) this.#takeService(service);
    for (const key of removedWorkloads) this.#forget(key);
    for (const workload of workloads) {
      const { key, labels = {} } = workload;
      this.#forget(key);
      this.#byKey.set(key, workload);
      for (const address of workload.addresses) this.#byAddress.set(address, workload);
      const mark = logMarkOf(labels, (name, message) => this.#warn(key, name, message));
      if (mark !== null) this.#marks.set(key, mark);
    }
  }

  #takeService({ key, endpoints }: DataService): void {
    const marks: LogMark[] = [];
    for (const endpoint of endpoints) {
      if (!endpoint.local) continue;
      const mark = logMarkOf(endpoint.meta, (name, message) => this.#warn(key, name, message));
      if (mark === null) continue;
      this.#byEndpoint.set(endpoint, mark);
      marks.push(mark);
    }
    if (marks.length > 0) this.#marked.set(key, marks);
    else this.#marked.delete(key);
  }

  #forget(key: string): void {
    for (const address of this.#byKey.get(key)?.addresses ?? []) {
      if (this.#byAddress.get(address)?.key === key) this.#byAddress.delete(address);
    }
    this.#byKey.delete(key);
    this.#marks.delete(key);
  }

  choose(facts: Readonly<RequestFacts>): Chosen {
    const { errors, default: usual } = this.#switches;
    const caller = this.#saidOfCaller(facts);
    const called = this.#saidOfCalled(facts);
    const said = caller === null || called === null ? (caller ?? called) : larger(caller, called);
    const { form, sample } = said ?? this.#resolve(usual);
    if (errors && endedBadly(facts) && (form !== "off" || said === null)) {
      return form === "off" ? this.#own : form;
    }
    if (form === "off" || sample >= 1) return form;
    return this.#shareOf(facts) < sample ? form : "off";
  }

  #saidOfCaller({ source }: Readonly<RequestFacts>): Said | null {
    const workload = source === null ? undefined : this.#byKey.get(source.key);
    return workload === undefined
      ? null
      : this.#saidOf(keyOf(workload), this.#marks.get(workload.key));
  }

  /** An endpoint without a workload is known by its service. */
  #saidOfCalled({ service, endpoint }: Readonly<RequestFacts>): Said | null {
    if (endpoint === null || !endpoint.local) return null;
    const workload = this.#byAddress.get(endpoint.address);
    const own = this.#byEndpoint.get(endpoint);
    if (workload === undefined) return this.#saidOf(service?.key ?? "", own);
    return this.#saidOf(keyOf(workload), this.#marks.get(workload.key) ?? own);
  }

  /** Null: nothing is said of it. */
  #saidOf(name: string, mark: LogMark | undefined): Said | null {
    const { workloads, default: usual } = this.#switches;
    const now = Object.hasOwn(workloads, name) ? workloads[name] : undefined;
    if (now === undefined && mark === undefined) return null;
    return this.#resolve({
      form: now?.form ?? mark?.form ?? usual.form,
      sample: now?.sample ?? mark?.sample ?? usual.sample,
    });
  }

  #resolve({ form, sample }: { readonly form: LogForm; readonly sample: number }): Said {
    if (form === "off") return OFF;
    return { form: form === "on" ? this.#own : form, sample };
  }

  #shareOf({ traceparent, requestId }: Readonly<RequestFacts>): number {
    const trace = traceIdOf(traceparent);
    if (trace !== "") return Number.parseInt(trace.slice(-8), 16) / 2 ** SAMPLE_BITS;
    return requestId === "" ? this.#random() : hashOf(requestId) / 2 ** SAMPLE_BITS;
  }
}

function larger(a: Said, b: Said): Said {
  if (a.form === "off") return b;
  return b.form === "off" || a.sample >= b.sample ? a : b;
}

/** FNV-1a of 32 bits, whose result is mixed once more (murmur3's finalizer): ids that differ little are to spread. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
