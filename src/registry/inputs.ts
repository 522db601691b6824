import type {
  AppProtocol,
  BalancerConfig,
  BalancerPolicy,
  Health,
  ServicePort,
} from "../core/model.ts";
import type { CheckSpec } from "./records.ts";
import type { VirtualRange } from "./virtual-range.ts";

/** What both APIs, Consul's and our own, are translated to before anything is planned. */
export interface ServiceInput {
  readonly name: string;
  readonly namespace: string;
  /** Empty: the registry allots them. */
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly protocol: AppProtocol | undefined;
  readonly balancer: BalancerConfig;
  readonly meta: Readonly<Record<string, string>>;
  readonly mtls: "required" | undefined;
}

export interface CheckInput {
  /** Undefined: `service:<instance>` or, with several checks, `service:<instance>:<n>`, as Consul. */
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly notes: string;
  readonly spec: CheckSpec;
  readonly deregisterMs: number;
  readonly status: Health;
}

export interface EndpointInput {
  readonly host: string;
  readonly instance: string;
  readonly service: string;
  readonly namespace: string;
  readonly address: string;
  readonly port: number;
  readonly portName: string;
  readonly weights: { readonly passing: number; readonly warning: number };
  readonly zone: string;
  readonly meta: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly protocol: AppProtocol | undefined;
  readonly checks: readonly CheckInput[];
  /** Drop checks of an earlier registration that this one does not name. */
  readonly replaceChecks: boolean;
  /** What it says of its service, where nobody declared that service. */
  readonly implied: {
    readonly protocol: AppProtocol | undefined;
    readonly policy: BalancerPolicy | undefined;
    readonly mtls: "required" | undefined;
    readonly port: number | undefined;
    readonly addresses: readonly string[];
  };
}

/** What planning needs beside the input. */
export interface PlanSettings {
  readonly ranges: readonly VirtualRange[];
  /** For services that choose no balancer. */
  readonly balancer: BalancerConfig;
}
