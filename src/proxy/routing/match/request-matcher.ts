import type { RouteMatch } from "../../../core/traffic.ts";
import { Condition } from "./condition.ts";
import { RequestFacts } from "./request-facts.ts";
import type { RouteRequest } from "./route-request.ts";

/** Does a request match one of a list, as rules do that are not routes (rate limits)? */
export class RequestMatcher {
  readonly #facts = new RequestFacts();
  readonly #conditions: readonly Condition[];

  /** `onProblem` is told of what cannot be understood; that never matches. */
  constructor(matches: readonly RouteMatch[], onProblem: (reason: string) => void) {
    this.#conditions = matches.flatMap((match) => {
      try {
        return [new Condition(match, "http")];
      } catch (reason) {
        if (!(reason instanceof RangeError)) throw reason;
        onProblem(reason.message);
        return [];
      }
    });
    for (const { params } of this.#conditions) {
      for (const name of params) this.#facts.paramNames.add(name);
    }
  }

  matches(request: RouteRequest): boolean {
    this.#facts.load(request);
    const found = this.#conditions.some((condition) => condition.matches(this.#facts));
    this.#facts.release();
    return found;
  }
}
