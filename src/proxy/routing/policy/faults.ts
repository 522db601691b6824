import { MeshError } from "../../../core/errors.ts";
import { httpStatusOf } from "../../../core/grpc.ts";
import type { Random } from "../../../core/random.ts";
import type { FaultRule } from "../../../core/traffic.ts";
import type { RequestHead } from "../../../http/message.ts";
import { fieldOf } from "./field.ts";

/** What is done to one request on purpose: first the delay, then the abort. */
export interface Fault {
  readonly delayMs: number;
  /** Of the answer that is given instead of sending it on; 0: it is sent on. */
  readonly status: number;
  /** Of the answer to a call of gRPC; -1: what `status` is to it. */
  readonly grpcStatus: number;
}

const NONE: Fault = { delayMs: 0, status: 0, grpcStatus: -1 };

/** Does any line of the head begin like one of these? Most requests have none, and are not split for it. */
const ANY = /^x-envoy-fault-/im;
const DELAY = "x-envoy-fault-delay-request";
const ABORT = "x-envoy-fault-abort-request";
const GRPC_ABORT = "x-envoy-fault-abort-grpc-request";
const HIGHEST_GRPC_STATUS = 16;
const PERCENTAGE = "-percentage";

/** Digits of a header's number: enough for any status, share and time that a timer can wait. */
const NUMBER = /^\d{1,9}$/;

/**
 * Faults of a route: a delay and an abort, each drawn on its own. Where the rule has one, a request may name its own
 * delay, status and share in Envoy's `x-envoy-fault-*` headers; the share of the rule stays the highest, as in Envoy, so
 * that no client can make more faults than the rule's author allows. A value out of range is ignored.
 */
export class Faults {
  readonly #rule: FaultRule;

  constructor(rule: FaultRule) {
    this.#rule = rule;
  }

  draw(head: RequestHead, random: Random): Fault {
    const { delay, abort } = ANY.test(head.passed) ? asked(this.#rule, head) : this.#rule;
    const delayMs = delay !== undefined && isDrawn(delay.percent, random) ? delay.ms : 0;
    if (abort !== undefined && isDrawn(abort.percent, random)) {
      return { delayMs, status: abort.status, grpcStatus: abort.grpcStatus ?? -1 };
    }
    return delayMs === 0 ? NONE : { delayMs, status: 0, grpcStatus: -1 };
  }
}

/** The rule as the request asks for it. */
function asked({ delay, abort }: FaultRule, head: RequestHead): FaultRule {
  const ms = numberOf(head, DELAY) ?? delay?.ms;
  const wanted = statusesOf(head) ?? abort;
  const delayPercent = numberOf(head, DELAY + PERCENTAGE) ?? 100;
  const abortPercent = numberOf(head, ABORT + PERCENTAGE) ?? 100;
  return {
    ...(delay && { delay: { ms: ms!, percent: Math.min(delay.percent, delayPercent) } }),
    ...(abort && { abort: { ...wanted!, percent: Math.min(abort.percent, abortPercent) } }),
  };
}

/** The failure that stands for an abort; its answer has this status and not the one of the table. */
export function abortError({ status, grpcStatus }: Omit<Fault, "delayMs">): MeshError {
  const what = grpcStatus === -1 ? `status ${status}` : `status ${grpcStatus} of gRPC`;
  const error = new MeshError("FAULT_INJECTED", `the route's rule asks for ${what}`);
  error.answer = grpcStatus === -1 ? { status } : { status, grpcStatus };
  return error;
}

function isDrawn(percent: number, random: Random): boolean {
  return percent > 0 && random() * 100 < percent;
}

/** What the request asks to be answered with; null: nothing. A status of HTTP goes before one of gRPC, as in Envoy. */
function statusesOf(head: RequestHead): { status: number; grpcStatus?: number } | null {
  const status = numberOf(head, ABORT);
  if (status !== null && status >= 200 && status <= 599) return { status };
  const grpcStatus = numberOf(head, GRPC_ABORT);
  if (grpcStatus === null || grpcStatus > HIGHEST_GRPC_STATUS) return null;
  return { status: httpStatusOf(grpcStatus), grpcStatus };
}

/** Value of the first field of this name (lower case), where it is a number. */
function numberOf(head: RequestHead, name: string): number | null {
  const value = fieldOf(head.fields, name);
  return value !== null && NUMBER.test(value) ? Number(value) : null;
}
