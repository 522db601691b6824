import type { Random } from "../../../core/random.ts";
import type { RouteRule, RouteTable } from "../../../core/traffic.ts";
import { WeightedChoice } from "./weighted-choice.ts";

/** A rule in force, with the turn of its backends. */
export class CompiledRule {
  readonly rule: RouteRule;
  /** The resource that it is from, for people. */
  readonly source: string;
  /** As its author calls it, else `#N` behind its resource, N being its place in the table, from 1 on. */
  readonly label: string;
  readonly #random: Random;
  #choice: WeightedChoice | null = null;

  /** `index`: its place in the table, from 0 on. */
  constructor(rule: RouteRule, index: number, table: RouteTable, random: Random) {
    this.rule = rule;
    this.source = table.source;
    this.label = rule.name === "" ? `${table.source}#${index + 1}` : rule.name;
    this.#random = random;
  }

  /**
   * Index of the backend whose turn it is, by weight; -1: there is none, because the rule sends requests to the service
   * that was called or forwards nothing, or because no backend has a weight.
   */
  pickBackend(): number {
    this.#choice ??= new WeightedChoice(weightsOf(this.rule), this.#random);
    return this.#choice.pick();
  }
}

function weightsOf({ action }: RouteRule): number[] {
  return action.kind === "forward" ? action.backends.map(({ weight }) => weight) : [];
}
