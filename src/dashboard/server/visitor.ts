/** What a user may: `viewer` reads, `editor` changes resources and taps too. */
export const ROLES = ["viewer", "editor"] as const;
export type Role = (typeof ROLES)[number];

/** Who makes a request. */
export interface Visitor {
  /** For people and the audit log; empty: nobody logged in. */
  readonly user: string;
  /** Null: a login is needed. */
  readonly role: Role | null;
  /** May see live requests of others. */
  readonly mayTap: boolean;
  /** What `x-hostmesh-csrf` must hold in each request that may change something. */
  readonly csrf: string;
  /** Null: no login, or none is needed. */
  readonly session: string | null;
}

/** May this visitor do what asks for that role? */
export function mayAct({ role }: Visitor, needed: Role): boolean {
  return role === "editor" || role === needed;
}
