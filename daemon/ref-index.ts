import { hostNamesOf, isWithinHost } from "../src/core/host-names.ts";
import { keyOf, type Service } from "../src/core/model.ts";
import type { ServiceRef } from "../src/core/traffic.ts";

const HOST = "host:";
/** A record, and the number of the change that brought it: the same number means the same record. */
export interface Found<T> {
  readonly record: T;
  readonly serial: number;
}

/** Records by the services that they refer to. */
export class RefIndex<T> {
  readonly #refsOf: (record: T) => readonly ServiceRef[];
  readonly #records = new Map<string, T>();
  /** Number of the change that brought each record. */
  readonly #serials = new Map<string, number>();
  #changes = 0;
  readonly #byRef = new Map<ServiceRef, Map<string, T>>();
  /** References that begin with a star: few, and looked through. */
  readonly #patterns = new Set<ServiceRef>();

  constructor(refsOf: (record: T) => readonly ServiceRef[]) {
    this.#refsOf = refsOf;
  }

  get(key: string): T | undefined {
    return this.#records.get(key);
  }

  keys(): Iterable<string> {
    return this.#records.keys();
  }

  /** Returns the references that are touched, old and new. */
  set(key: string, value: T | null): readonly ServiceRef[] {
    const before = this.#records.get(key);
    const old = before === undefined ? [] : this.#refsOf(before);
    for (const ref of old) this.#forget(ref, key);
    this.#changes += 1;
    this.#serials.set(key, this.#changes);
    if (value === null) {
      this.#records.delete(key);
      this.#serials.delete(key);
      return old;
    }
    this.#records.set(key, value);
    const now = this.#refsOf(value);
    for (const ref of now) this.#remember(ref, key, value);
    return [...old, ...now];
  }

  #remember(ref: ServiceRef, key: string, value: T): void {
    const there = this.#byRef.get(ref);
    if (there === undefined) this.#byRef.set(ref, new Map([[key, value]]));
    else there.set(key, value);
    if (ref.startsWith(`${HOST}*`)) this.#patterns.add(ref);
  }

  #forget(ref: ServiceRef, key: string): void {
    const there = this.#byRef.get(ref);
    there?.delete(key);
    if (there?.size !== 0) return;
    this.#byRef.delete(ref);
    this.#patterns.delete(ref);
  }

  /** The records with just this reference. */
  *at(ref: ServiceRef): Generator<T> {
    yield* this.#byRef.get(ref)?.values() ?? [];
  }

  /** Everything that refers to a service, by name or pattern, each record once. */
  of(service: Service): readonly Found<T>[] {
    const hosts = hostNamesOf(service);
    const patterns = [...this.#patterns].filter((ref) =>
      hosts.some((host) => isWithinHost(host, ref.slice(HOST.length))),
    );
    return this.#collect([keyOf(service), ...hosts.map((host) => `${HOST}${host}`), ...patterns]);
  }

  #collect(refs: readonly ServiceRef[]): Found<T>[] {
    const found = new Map<string, T>();
    for (const ref of refs) {
      for (const [key, record] of this.#byRef.get(ref) ?? []) found.set(key, record);
    }
    return [...found].map(([key, record]) => ({ record, serial: this.#serials.get(key) ?? 0 }));
  }

  /** Could the reference mean this service? */
  static means(ref: ServiceRef, service: Service): boolean {
    if (!ref.startsWith(HOST)) return ref === keyOf(service);
    const pattern = ref.slice(HOST.length);
    return hostNamesOf(service).some((host) => isWithinHost(host, pattern));
  }
}
