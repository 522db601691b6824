import type { Figures } from "../../../sight/mesh-report.ts";
import type { PageReport } from "../net/types.ts";

/** Figures that are kept over time, of the mesh, of each service and of each endpoint. */
const KEPT = ["rps", "success", "p50Ms", "p95Ms", "p99Ms", "latencyEwmaMs", "share"] as const;
export type Kept = (typeof KEPT)[number];
type Point = Partial<Pick<Figures, Exclude<Kept, "latencyEwmaMs" | "share">>> &
  Partial<Record<"latencyEwmaMs" | "share", number | null>>;

/** Ten minutes of reports that come every 2 s. */
const CAPACITY = 300;

/** Names of series: an endpoint's has the service too, as ids are a service's own. */
export const MESH = "mesh";
export const seriesOf = (service: string) => `service ${service}`;
export const endpointSeriesOf = (service: string, id: string) => `endpoint ${service} ${id}`;

/**
 * The last reports, as rings of numbers: what the registry does not keep and a reader wants to see. What was not known at
 * a time is NaN in it. Memory: 28 bytes for each series and report (8 MB for 1,000 series).
 */
export class History {
  readonly #rings = new Map<string, Float32Array>();
  readonly #times = new Float64Array(CAPACITY);
  #count = 0;

  add(report: PageReport): void {
    const at = this.#count % CAPACITY;
    this.#times[at] = report.atMs;
    this.#count += 1;
    const seen = new Set<string>();
    const put = (name: string, figures: Point) => {
      seen.add(name);
      this.#put(name, at, figures);
    };
    put(MESH, report.total);
    for (const service of report.services) {
      put(seriesOf(service.service), service);
      for (const endpoint of service.endpoints) {
        put(endpointSeriesOf(service.service, endpoint.id), endpoint);
      }
    }
    this.#forget(seen, at);
  }

  /** Times in seconds since 1970, oldest first. */
  times(): number[] {
    return Array.from(this.#order(), (at) => this.#times[at]! / 1000);
  }

  /** Values of one figure at these times; null where it was not known. */
  values(series: string, figure: Kept): (number | null)[] {
    const ring = this.#rings.get(series);
    const offset = KEPT.indexOf(figure);
    return this.#order().map((at) => {
      const value = ring?.[at * KEPT.length + offset] ?? Number.NaN;
      return Number.isNaN(value) ? null : value;
    });
  }

  #put(name: string, at: number, figures: Point): void {
    let ring = this.#rings.get(name);
    if (ring === undefined) {
      ring = new Float32Array(CAPACITY * KEPT.length).fill(Number.NaN);
      this.#rings.set(name, ring);
    }
    const start = at * KEPT.length;
    for (const [offset, figure] of KEPT.entries()) {
      ring[start + offset] = figures[figure] ?? Number.NaN;
    }
  }

  /** What is gone from the report ends; its ring goes once nothing of it is left to show. */
  #forget(seen: ReadonlySet<string>, at: number): void {
    for (const [name, ring] of this.#rings) {
      if (seen.has(name)) continue;
      ring.fill(Number.NaN, at * KEPT.length, (at + 1) * KEPT.length);
      if (ring.every(Number.isNaN)) this.#rings.delete(name);
    }
  }

  /** Places of the ring, oldest first. */
  #order(): number[] {
    const length = Math.min(this.#count, CAPACITY);
    return Array.from({ length }, (_, index) => (this.#count - length + index) % CAPACITY);
  }
}
