import type {
  Change,
  Endpoint,
  Health,
  MeshHost,
  Service,
  TrustBundle,
  Workload,
} from "../core/model.ts";
import type { Policy } from "../core/policy.ts";
import type { ClientScope, RouteTable, TrafficPolicy } from "../core/traffic.ts";
import type { TranslatedKind } from "../dialects/translator.ts";

/** When the result of a check that is run changes the status; Consul's fields of the same names, at least 1. */
export interface Thresholds {
  readonly successBeforePassing: number;
  readonly failuresBeforeWarning: number;
  readonly failuresBeforeCritical: number;
}

interface Probe extends Thresholds {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** A heartbeat that must arrive at least every `ttlMs`. */
export interface TtlSpec {
  readonly kind: "ttl";
  readonly ttlMs: number;
}

/** An HTTP request from the endpoint's host: 2xx passes, 429 warns, everything else is critical. */
export interface HttpSpec extends Probe {
  readonly kind: "http";
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly body: string;
  readonly followRedirects: boolean;
  readonly tlsSkipVerify: boolean;
  /** Empty: the host of the URL. */
  readonly tlsServerName: string;
}

/** A TCP connect from the endpoint's host. */
export interface TcpSpec extends Probe {
  readonly kind: "tcp";
  readonly address: string;
  readonly port: number;
}

/** A question by gRPC's health protocol from the endpoint's host: only SERVING passes. */
export interface GrpcSpec extends Probe {
  readonly kind: "grpc";
  readonly address: string;
  readonly port: number;
  /** Empty: the server as a whole. */
  readonly service: string;
  readonly tls: boolean;
  readonly tlsSkipVerify: boolean;
  /** Empty: the host. */
  readonly tlsServerName: string;
}

/** How the health of an endpoint is found out. */
export type CheckSpec = TtlSpec | HttpSpec | TcpSpec | GrpcSpec;

/** A service with what the registry alone needs to know of it. */
export interface StoredService {
  readonly service: Service;
  /** Declared by name, as against implied by its first endpoint; a declared one outlives its endpoints. */
  readonly declared: boolean;
  /** Key of the resource that declared it; absent: it was registered. */
  readonly resource?: string;
}

/** An endpoint with what only Consul's API shows. */
export interface StoredEndpoint {
  /** `endpoint.weight` and `endpoint.health` follow from the weights and checks. */
  readonly endpoint: Endpoint;
  /** Id on its host; `endpoint.id` is `host/instance`. */
  readonly instance: string;
  readonly tags: readonly string[];
  readonly weights: { readonly passing: number; readonly warning: number };
  /** Key of the resource that brought it; absent: it was registered. */
  readonly resource?: string;
}

/** One check of one endpoint. Key: `host/id`. */
export interface StoredCheck {
  readonly id: string;
  readonly host: string;
  /** Id of the endpoint that it speaks for. */
  readonly endpoint: string;
  readonly name: string;
  readonly notes: string;
  readonly spec: CheckSpec;
  /** Remove the endpoint when critical for so long; 0: never. */
  readonly deregisterMs: number;
  readonly status: Health;
  readonly output: string;
}

/** A field that has no effect, or another than its author may expect. */
export interface ResourceWarning {
  readonly path: string;
  readonly message: string;
}

/** A resource of a dialect (Istio, SMI, Consul, ...) as it was applied. Key: `group/Kind/namespace/name`. */
export interface StoredResource {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** As it was applied. */
  readonly content: Readonly<Record<string, unknown>>;
  /** When it was made, ms since the epoch. */
  readonly createdMs: number;
  /** Counts the changes of its content, from 1. */
  readonly generation: number;
  readonly warnings: readonly ResourceWarning[];
  /** What it was translated to. */
  readonly records: readonly { readonly kind: TranslatedKind; readonly key: string }[];
  /** Topics that it speaks of, and topics of others on which its translation depends. */
  readonly provides: readonly string[];
  readonly needs: readonly string[];
}

/** One content that a resource has had. */
export interface ResourceRevision {
  /** Rises with every change, removals included. */
  readonly generation: number;
  /** Null: it was removed. */
  readonly content: Readonly<Record<string, unknown>> | null;
  /** When the resource was made, ms since the epoch. */
  readonly createdMs: number;
  /** When this revision was made; null: by a version that kept no histories. */
  readonly atMs: number | null;
  /** Who made it, for people; empty: not known. */
  readonly by: string;
  readonly cause: "applied" | "removed" | "rolled back";
}

/** What a resource was, oldest first; it outlives the resource. Key: the resource's. */
export interface StoredHistory {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly revisions: readonly ResourceRevision[];
}

/** What a store holds, by kind. */
export interface RecordValues {
  readonly service: StoredService;
  readonly endpoint: StoredEndpoint;
  readonly workload: Workload;
  readonly check: StoredCheck;
  readonly host: MeshHost;
  readonly trust: TrustBundle;
  readonly resource: StoredResource;
  readonly history: StoredHistory;
  readonly policy: Policy;
  readonly route: RouteTable;
  readonly traffic: TrafficPolicy;
  readonly scope: ClientScope;
}

export type RecordKind = keyof RecordValues;

/** One stored record. `revision`: last change; `created`: first appearance. */
export type StoredRecord<K extends RecordKind = RecordKind> = {
  readonly [Kind in K]: {
    readonly kind: Kind;
    readonly key: string;
    readonly revision: number;
    readonly created: number;
    readonly value: RecordValues[Kind];
  };
}[K];

/** A record that is gone since `revision`. */
export interface Tombstone {
  readonly kind: RecordKind;
  readonly key: string;
  readonly revision: number;
  readonly value: null;
}

/** One write of a transaction; `value: null` removes. */
export type Write = {
  readonly [Kind in RecordKind]: {
    readonly kind: Kind;
    readonly key: string;
    readonly value: RecordValues[Kind] | null;
  };
}[RecordKind];

/** What travels to daemons: a change and the revision that made it, which the digest is taken of. */
export type VersionedChange = Change & { readonly version: number };

type OwnKind = "check" | "resource" | "history";

/** Are daemons told of records of this kind? Checks show as an endpoint's health, resources as what they mean. */
export function isPublished(kind: RecordKind): kind is Exclude<RecordKind, OwnKind> {
  return kind !== "check" && kind !== "resource" && kind !== "history";
}

/** What daemons are told of a change in the store; null where they are told nothing. */
export function publish(change: StoredRecord | Tombstone): VersionedChange | null {
  const { kind, key, revision: version } = change;
  if (!isPublished(kind)) return null;
  if (change.value === null) return { kind, key, version, value: null };
  switch (change.kind) {
    case "service":
      return { kind: "service", key, version, value: change.value.service };
    case "endpoint":
      return { kind: "endpoint", key, version, value: change.value.endpoint };
    case "workload":
      return { kind: "workload", key, version, value: change.value };
    case "host":
      return { kind: "host", key, version, value: change.value };
    case "trust":
      return { kind: "trust", key, version, value: change.value };
    case "policy":
      return { kind: "policy", key, version, value: change.value };
    case "route":
      return { kind: "route", key, version, value: change.value };
    case "traffic":
      return { kind: "traffic", key, version, value: change.value };
    case "scope":
      return { kind: "scope", key, version, value: change.value };
    default:
      return null;
  }
}
