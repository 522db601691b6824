import type { RouteTable } from "../../../core/traffic.ts";

/** What stands for all namespaces that no table names. */
const OTHERS = "";

/**
 * What is made for each kind of caller: from the tables that hold for its namespace and the called port. It is made when
 * such a caller first comes, and callers of whom no table makes a difference share it, so there are never more of them
 * than the tables have namespaces times ports.
 */
export class TableScopes<Table extends { readonly table: RouteTable }, Made> {
  readonly #tables: readonly Table[];
  readonly #make: (tables: readonly Table[]) => Made;
  readonly #namespaces: ReadonlySet<string>;
  readonly #ports: ReadonlySet<number>;
  readonly #made = new Map<string, Map<number, Made>>();

  constructor(tables: readonly Table[], make: (tables: readonly Table[]) => Made) {
    this.#tables = tables;
    this.#make = make;
    this.#namespaces = new Set(tables.flatMap(({ table }) => table.clients ?? []));
    this.#ports = new Set(tables.flatMap(({ table }) => table.port ?? []));
  }

  for(namespace: string, port: number): Made {
    const caller = this.#namespaces.has(namespace) ? namespace : OTHERS;
    const called = this.#ports.has(port) ? port : 0;
    const known = this.#made.get(caller)?.get(called);
    return known ?? this.#add(caller, called);
  }

  #add(namespace: string, port: number): Made {
    const made = this.#make(
      this.#tables.filter(({ table }) => isForCaller(table, namespace) && isForPort(table, port)),
    );
    const ports = this.#made.get(namespace) ?? new Map<number, Made>();
    this.#made.set(namespace, ports);
    ports.set(port, made);
    return made;
  }
}

export function isForCaller({ clients }: RouteTable, namespace: string): boolean {
  return clients === null || (namespace !== OTHERS && clients.includes(namespace));
}

export function isForPort({ port: wanted }: RouteTable, port: number): boolean {
  return wanted === undefined || wanted === port;
}
