import type { Backend, HeaderEdits } from "../../core/traffic.ts";
import type { TranslationContext } from "../translator.ts";
import { joinEdits, type TargetFields, toHeaderEdits } from "./chain-fields.ts";
import { type ResolverFields, serviceResolverKind } from "./resolver-fields.ts";
import { serviceSplitterKind } from "./splitter-fields.ts";

/** Of the flattened chain of one rule, and of the entries that it goes through one behind the other. */
const MAX_BACKENDS = 256;
const MAX_STEPS = 32;
const MAX_WEIGHT = 1_000_000n;

/** Where requests are to go; `subset` is "" where none is named. */
export interface Target {
  readonly namespace: string;
  readonly service: string;
  readonly subset: string;
}

/** A chain that leads nowhere, with the reason. */
export class ChainError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ChainError";
  }
}

type Splitter = NonNullable<ReturnType<typeof serviceSplitterKind.read>>["fields"];
type Place = Omit<Backend, "weight" | "failover">;

/** A way through the splitters to one place; `share` of 10,000 to the power of `depth`. */
interface Leaf {
  readonly share: bigint;
  readonly depth: number;
  readonly place: Omit<Backend, "weight">;
}

/**
 * Consul's discovery chain behind its router, flattened: splitters and resolvers are followed as its compiler does
 * (agent/consul/discoverychain in hashicorp/consul), so that what is left are weights, subsets and failovers.
 */
export class DiscoveryChain {
  readonly #context: TranslationContext;
  readonly #onMissing: (message: string) => void;
  readonly #splitters = new Map<string, Splitter | null>();
  readonly #resolvers = new Map<string, ResolverFields | null>();

  /** `onMissing` hears of subsets that nobody defines. */
  constructor(context: TranslationContext, onMissing: (message: string) => void) {
    this.#context = context;
    this.#onMissing = onMissing;
  }

  /** Where the requests to a target go in the end. Throws {@link ChainError}. */
  backends(target: Target): Backend[] {
    return weighed(this.#split(target, []));
  }

  /** The same without splitters, as for connections that are not HTTP. */
  resolved(target: Target): Omit<Backend, "weight"> {
    return this.#resolve(target);
  }

  /** A named subset, and a service without splitter, are not split. */
  #split(target: Target, above: readonly string[]): Leaf[] {
    const { namespace, service } = target;
    const name = `${namespace}/${service}`;
    const splitter = target.subset === "" ? this.#splitterOf(target) : null;
    if (splitter === null) return [{ share: 1n, depth: 0, place: this.#resolve(target) }];
    if (above.includes(name)) {
      throw new ChainError(`the splitters go in a circle: ${[...above, name].join(" -> ")}`);
    }
    if (above.length >= MAX_STEPS) {
      throw new ChainError(`more than ${MAX_STEPS} splitters follow each other`);
    }
    const leaves: Leaf[] = [];
    for (const split of splitter.splits) {
      const next = rewritten(target, split);
      const isOwn = next.service === service && next.namespace === namespace;
      // What a splitter leaves with its own service is not split again.
      const inner: Leaf[] = isOwn
        ? [{ share: 1n, depth: 0, place: this.#resolve(next) }]
        : this.#split(next, [...above, name]);
      const requests = toHeaderEdits(split.requestHeaders);
      const responses = toHeaderEdits(split.responseHeaders);
      const weight = BigInt(Math.round(split.weight * 100));
      for (const { share, depth, place } of inner) {
        const edited = withEdits(place, requests, responses);
        leaves.push({ share: share * weight, depth: depth + 1, place: edited });
      }
      if (leaves.length > MAX_BACKENDS) {
        throw new ChainError(`the splitters lead to more than ${MAX_BACKENDS} places`);
      }
    }
    return leaves;
  }

  #resolve(target: Target): Omit<Backend, "weight"> {
    const { at, resolver } = this.#follow(target);
    const failover = resolver === null ? [] : this.#failover(at, resolver);
    return { ...toPlace(at), ...(failover.length === 0 ? {} : { failover }) };
  }

  /** Follows redirects and default subsets. */
  #follow(target: Target): { at: Target; resolver: ResolverFields | null } {
    const seen: string[] = [];
    for (let at = target; ; ) {
      const resolver = this.#resolverOf(at);
      const next = resolver === null ? at : nextOf(at, resolver);
      if (nameOf(next) === nameOf(at)) {
        const isDefined = at.subset === "" || Object.hasOwn(resolver?.subsets ?? {}, at.subset);
        if (!isDefined) this.#missing(at);
        return { at, resolver };
      }
      seen.push(nameOf(at));
      if (seen.includes(nameOf(next))) {
        const circle = [...seen, nameOf(next)].join(" -> ");
        throw new ChainError(`the redirects go in a circle: ${circle}`);
      }
      if (seen.length > MAX_STEPS) {
        throw new ChainError(`more than ${MAX_STEPS} redirects follow each other`);
      }
      at = next;
    }
  }

  /** Targets of a failover are resolved, but their own failovers are not followed. */
  #failover(at: Target, { failover }: ResolverFields): Place[] {
    const own = failover[Object.hasOwn(failover, at.subset) ? at.subset : "*"];
    if (own === undefined) return [];
    const { targets = [] } = own;
    const named = (targets.length > 0 ? targets : [own]).map((each) => rewritten(at, each));
    const places = new Map<string, Place>();
    for (const target of named) {
      if (nameOf(target) === nameOf(at)) continue;
      const { at: end } = this.#follow(target);
      if (nameOf(end) !== nameOf(at)) places.set(nameOf(end), toPlace(end));
    }
    return [...places.values()];
  }

  #splitterOf({ namespace, service }: Target): Splitter | null {
    return known(this.#splitters, `${namespace}/${service}`, () => {
      const found = serviceSplitterKind.find(this.#context, namespace, service);
      return found?.fields ?? null;
    });
  }

  #resolverOf({ namespace, service }: Target): ResolverFields | null {
    return known(this.#resolvers, `${namespace}/${service}`, () => {
      const found = serviceResolverKind.find(this.#context, namespace, service);
      return found?.fields ?? null;
    });
  }

  #missing({ namespace, service, subset }: Target): void {
    this.#onMissing(`${namespace}/${service} has no subset ${subset}: it has no endpoints`);
  }
}

/** Read once: one entry may be on many ways. */
function known<T>(cache: Map<string, T>, key: string, find: () => T): T {
  const before = cache.get(key);
  if (before !== undefined) return before;
  const found = find();
  cache.set(key, found);
  return found;
}

/** Where a resolver sends what comes to it: elsewhere, to its default subset, or nowhere else. */
function nextOf(at: Target, { redirect, defaultSubset }: ResolverFields): Target {
  const next = redirect === undefined ? at : rewritten(at, redirect);
  if (nameOf(next) !== nameOf(at) || at.subset !== "") return next;
  return { ...at, subset: defaultSubset ?? "" };
}

/** A subset stays only with its service. */
function rewritten(target: Target, to: TargetFields): Target {
  const { namespace = target.namespace, service = target.service } = to;
  const isOther = namespace !== target.namespace || service !== target.service;
  const subset = to.serviceSubset ?? (isOther ? "" : target.subset);
  return { namespace, service, subset };
}

function nameOf({ namespace, service, subset }: Target): string {
  return `${namespace}/${service}${subset === "" ? "" : `#${subset}`}`;
}

function toPlace({ namespace, service, subset }: Target): Place {
  return { service: `${namespace}/${service}`, ...(subset === "" ? {} : { subset }) };
}

function withEdits(
  place: Leaf["place"],
  requests: HeaderEdits | undefined,
  responses: HeaderEdits | undefined,
): Leaf["place"] {
  const { failover } = place;
  const edit = (one: Place): Place => {
    const requestHeaders = joinEdits(requests, one.requestHeaders);
    const responseHeaders = joinEdits(responses, one.responseHeaders);
    return {
      ...one,
      ...(requestHeaders === undefined ? {} : { requestHeaders }),
      ...(responseHeaders === undefined ? {} : { responseHeaders }),
    };
  };
  return { ...edit(place), ...(failover === undefined ? {} : { failover: failover.map(edit) }) };
}

/** Shares of the same whole, as small as they get. */
function weighed(leaves: readonly Leaf[]): Backend[] {
  const deepest = Math.max(...leaves.map(({ depth }) => depth));
  const shares = leaves.map(({ share, depth }) => share * 10_000n ** BigInt(deepest - depth));
  const divisor = shares.reduce(greatestCommonDivisor, 0n) || 1n;
  const smallest = shares.map((share) => share / divisor);
  const most = smallest.reduce((a, b) => (a > b ? a : b), 0n);
  return leaves.map(({ place }, index) => {
    const share = smallest[index] ?? 0n;
    const scaled = most > MAX_WEIGHT ? (share * MAX_WEIGHT + most / 2n) / most : share;
    // A share that was not 0 does not become it.
    const weight = scaled === 0n && share > 0n ? 1 : Number(scaled);
    return { ...place, weight };
  });
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestCommonDivisor(b, a % b);
}
