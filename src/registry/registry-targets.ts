import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Random } from "../core/random.ts";

/** One registry to connect to. */
export interface RegistryTarget {
  /** Base URL, as it was configured: its name is what a certificate or a proxy is asked for. */
  readonly url: string;
  /** One of the addresses of its name; null: whatever the name leads to. */
  readonly address: string | null;
}

/** Finds the addresses of a name. Rejects where there are none. */
export type LookUp = (name: string) => Promise<readonly string[]>;

export interface RegistryTargetsOptions {
  readonly urls: readonly string[];
  readonly random: Random;
  readonly lookUp?: LookUp;
}

/**
 * All registries that could be watched, tried in rounds: URLs in their order, and of a name every address, in an order of
 * chance, so that hosts spread over them. Names are resolved anew for each round.
 */
export class RegistryTargets {
  readonly #options: RegistryTargetsOptions;
  readonly #lookUp: LookUp;
  #round: RegistryTarget[] = [];
  /** Tried last in the next round. */
  #left: RegistryTarget | null = null;
  /** How many there were in the newest round. */
  #size = 0;

  constructor(options: RegistryTargetsOptions) {
    this.#options = options;
    this.#lookUp = options.lookUp ?? lookUpAll;
  }

  /** Is there another one to try before all have been tried? */
  hasOther(): boolean {
    return this.#round.length > 0 || (this.#left !== null && this.#size > 1);
  }

  /** Begins a new round, in which this one comes last. */
  restart(left: RegistryTarget): void {
    this.#round = [];
    this.#left = left;
  }

  /** Never rejects: what cannot be resolved is for the connection to report. */
  async next(): Promise<RegistryTarget> {
    if (this.#round.length === 0) this.#round = await this.#resolve();
    return this.#round.shift() ?? { url: this.#options.urls[0] ?? "", address: null };
  }

  async #resolve(): Promise<RegistryTarget[]> {
    const found = await Promise.all(this.#options.urls.map((url) => this.#targetsOf(url)));
    const all = found.flat();
    const left = this.#left;
    this.#left = null;
    this.#size = all.length;
    const isLeft = ({ url, address }: RegistryTarget) =>
      left !== null && url === left.url && (left.address === null || address === left.address);
    return [...all.filter((each) => !isLeft(each)), ...all.filter(isLeft)];
  }

  async #targetsOf(url: string): Promise<RegistryTarget[]> {
    const name = new URL(url).hostname.replace(/^\[|\]$/g, "");
    if (isIP(name) !== 0) return [{ url, address: null }];
    const addresses = await this.#lookUp(name).catch(() => []);
    if (addresses.length === 0) return [{ url, address: null }];
    return this.#shuffled(addresses).map((address) => ({ url, address }));
  }

  #shuffled(addresses: readonly string[]): string[] {
    const drawn = addresses.map((address) => ({ address, order: this.#options.random() }));
    return drawn.sort((a, b) => a.order - b.order).map(({ address }) => address);
  }
}

async function lookUpAll(name: string): Promise<string[]> {
  const found = await lookup(name, { all: true, order: "verbatim" });
  return [...new Set(found.map(({ address }) => address))];
}
