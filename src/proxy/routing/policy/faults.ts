import { MeshError } from "../../../core/errors.ts";
import type { Random } from "../../../core/random.ts";
import type { FaultRule } from "../../../core/traffic.ts";
import type { RequestHead } from "../../../http/message.ts";
import { fieldOf } from "./field.ts";

/** What is done to one request on purpose: first the delay, then the abort. */
export interface Fault {
  readonly delayMs: number;
  /** Of the answer that is given instead of sending it on; 0: it is sent on. */
  readonly status: number;
}

const NONE: Fault = { delayMs: 0, status: 0 };

/** Does any line of the head begin like one of these? Most requests have none, and are not split for it. */
const ANY = /^x-envoy-fault-/im;
const DELAY = "x-envoy-fault-delay-request";
const ABORT = "x-envoy-fault-abort-request";
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
    const status = abort !== undefined && isDrawn(abort.percent, random) ? abort.status : 0;
    return delayMs === 0 && status === 0 ? NONE : { delayMs, status };
  }
}

/** The rule as the request asks for it. */
function asked({ delay, abort }: FaultRule, head: RequestHead): FaultRule {
  const ms = numberOf(head, DELAY) ?? delay?.ms;
  const status = statusOf(head) ?? abort?.status;
  const delayPercent = numberOf(head, DELAY + PERCENTAGE) ?? 100;
  const abortPercent = numberOf(head, ABORT + PERCENTAGE) ?? 100;
  return {
    ...(delay && { delay: { ms: ms!, percent: Math.min(delay.percent, delayPercent) } }),
    ...(abort && { abort: { status: status!, percent: Math.min(abort.percent, abortPercent) } }),
  };
}

/** The failure that stands for an abort; its answer has this status and not the one of the table. */
export function abortError(status: number): MeshError {
  const error = new MeshError("FAULT_INJECTED", `the route's rule asks for status ${status}`);
  error.answer = { status };
  return error;
}

function isDrawn(percent: number, random: Random): boolean {
  return percent > 0 && random() * 100 < percent;
}

function statusOf(head: RequestHead): number | null {
  const status = numberOf(head, ABORT);
  return status !== null && status >= 200 && status <= 599 ? status : null;
}

/** Value of the first field of this name (lower case), where it is a number. */
function numberOf(head: RequestHead, name: string): number | null {
  const value = fieldOf(head.fields, name);
  return value !== null && NUMBER.test(value) ? Number(value) : null;
}
