import type { SlotPool } from "./slots.ts";

/**
 * Slots in the shared state of services: one for each service and one for each of its subsets, which have limits and
 * budgets of their own. A service that finds none is served without them.
 */
export class ServiceSlots {
  readonly #pool: SlotPool;
  readonly #byService = new Map<string, Map<string, number>>();

  constructor(pool: SlotPool) {
    this.#pool = pool;
  }

  /** The slots of a service, by name of the subset; "" is the service itself. Those of other names are given back. */
  take(service: string, names: readonly string[]): Readonly<Record<string, number>> {
    const before = this.#byService.get(service) ?? new Map<string, number>();
    const now = new Map<string, number>();
    for (const name of names) {
      const slot = before.get(name) ?? this.#pool.take();
      before.delete(name);
      if (slot !== null) now.set(name, slot);
    }
    for (const slot of before.values()) this.#pool.give(slot);
    this.#byService.set(service, now);
    return Object.fromEntries(now);
  }

  give(service: string): void {
    for (const slot of this.#byService.get(service)?.values() ?? []) this.#pool.give(slot);
    this.#byService.delete(service);
  }
}
