import type { Random } from "../../../core/random.ts";
import type { RouteMatch, RouteRule, RouteTable } from "../../../core/traffic.ts";
import { CompiledRule } from "./compiled-rule.ts";
import { Condition } from "./condition.ts";
import { ConditionIndex } from "./condition-index.ts";
import { byAge, byPrecedence } from "./precedence.ts";
import { RequestFacts } from "./request-facts.ts";
import type { RouteConnection, RouteRequest } from "./route-request.ts";
import { TableScopes } from "./table-scopes.ts";

export type { RouteConnection, RouteRequest, RouteSource } from "./route-request.ts";

/** Is told which resource has something in it that cannot be understood, and what. */
export type OnRouteProblem = (source: string, reason: string) => void;

/** A rule that holds, and by which of its matches; null: it has none, so that it always holds. */
export interface Found {
  readonly rule: CompiledRule;
  readonly match: RouteMatch | null;
}

/** One match of one rule. */
export interface RouteCandidate {
  readonly condition: Condition | null;
  readonly match: RouteMatch | null;
  readonly createdMs: number;
  readonly source: string;
  readonly found: Found;
}

export interface CompiledTable {
  readonly table: RouteTable;
  readonly candidates: readonly RouteCandidate[];
}

/** What holds for one kind of caller. */
interface Program {
  readonly found: readonly Found[];
  readonly index: ConditionIndex;
  readonly refuses: boolean;
}

type Programs = TableScopes<CompiledTable, Program | null>;

/**
 * The rules for requests to one service. Which one holds is found in time that depends on the request and hardly on
 * their number, and nothing is made for it: the answers are there beforehand.
 *
 * Of the tables that hold for the caller's namespace and the called port those of the highest rank count. A match that
 * cannot be understood is reported and never matches, and nothing else is disturbed by it.
 */
export class RouteSet {
  readonly #facts = new RequestFacts();
  readonly #routes: Programs;
  readonly #profiles: Programs;
  readonly #tcp: Programs;

  constructor(
    tables: readonly RouteTable[],
    onProblem: OnRouteProblem,
    random: Random = Math.random,
  ) {
    const programs = (of: (table: RouteTable) => boolean): Programs =>
      new TableScopes(
        tables.filter(of).map((table) => this.#compiled(table, onProblem, random)),
        programOf,
      );
    this.#routes = programs(({ protocol, role }) => protocol === "http" && role === "route");
    this.#profiles = programs(({ protocol, role }) => protocol === "http" && role === "profile");
    this.#tcp = programs(({ protocol, role }) => protocol === "tcp" && role === "route");
  }

  /** The rule for a request. Null: there is none for it, and it goes to the service; `refuse`: it gets 404. */
  find(request: RouteRequest): Found | "refuse" | null {
    return this.#find(this.#routes, request);
  }

  /** The rule of a profile, which says how often and how long to try, whatever {@link find} says. */
  profile(request: RouteRequest): CompiledRule | null {
    const found = this.#find(this.#profiles, request);
    return found === null || found === "refuse" ? null : found.rule;
  }

  /** Like {@link find}, for a TCP connection. */
  findTcp(connection: RouteConnection): Found | "refuse" | null {
    const program = this.#tcp.for(connection.source.namespace, connection.port);
    if (program === null) return null;
    this.#facts.loadConnection(connection);
    return this.#first(program);
  }

  #find(programs: Programs, request: RouteRequest): Found | "refuse" | null {
    const program = programs.for(request.source.namespace, request.port);
    if (program === null) return null;
    this.#facts.load(request);
    return this.#first(program);
  }

  #first({ index, found, refuses }: Program): Found | "refuse" | null {
    const order = index.first(this.#facts);
    this.#facts.release();
    if (order !== -1) return found[order]!;
    return refuses ? "refuse" : null;
  }

  #compiled(table: RouteTable, onProblem: OnRouteProblem, random: Random): CompiledTable {
    const candidates = table.rules.flatMap((rule, index) =>
      candidatesOf(rule, new CompiledRule(rule, index, table, random), table, onProblem),
    );
    for (const { condition } of candidates) {
      for (const name of condition?.params ?? []) this.#facts.paramNames.add(name);
    }
    return { table, candidates };
  }
}

export function candidatesOf(
  rule: RouteRule,
  compiled: CompiledRule,
  table: RouteTable,
  onProblem: OnRouteProblem,
): RouteCandidate[] {
  const { createdMs, source } = table;
  const candidate = (match: RouteMatch | null): RouteCandidate => ({
    condition: match === null ? null : new Condition(match, table.protocol),
    match,
    createdMs,
    source,
    found: { rule: compiled, match },
  });
  if (rule.matches.length === 0) return [candidate(null)];
  return rule.matches.flatMap((match) => {
    try {
      return [candidate(match)];
    } catch (reason) {
      if (!(reason instanceof RangeError)) throw reason;
      onProblem(source, reason.message);
      return [];
    }
  });
}

/** What the tables for one caller come to; null: there are none. */
function programOf(tables: readonly CompiledTable[]): Program | null {
  const { candidates, refuses } = inForce(tables);
  if (candidates === null) return null;
  return {
    found: candidates.map(({ found }) => found),
    index: new ConditionIndex(candidates),
    refuses,
  };
}

/** Of tables for the same callers those that count, and their matches in the order in which they are tried; null: no table. */
export function inForce<Table extends CompiledTable>(
  tables: readonly Table[],
): {
  readonly together: readonly Table[];
  readonly candidates: readonly RouteCandidate[] | null;
  readonly refuses: boolean;
} {
  const rank = Math.max(...tables.map(({ table }) => table.rank));
  const [head, ...others] = tables
    .filter(({ table }) => table.rank === rank)
    .toSorted((a, b) => byAge(a.table, b.table));
  if (head === undefined) return { together: [], candidates: null, refuses: false };
  const together =
    head.table.order === "listed"
      ? [head]
      : [head, ...others.filter(({ table }) => table.order === "specific")];
  const candidates = together.flatMap((table) => table.candidates);
  if (head.table.order === "specific") candidates.sort(byPrecedence);
  return {
    together,
    candidates,
    refuses: together.some(({ table }) => table.otherwise === "refuse"),
  };
}
