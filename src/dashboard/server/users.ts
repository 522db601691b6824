import { parse } from "yaml";
import * as z from "zod";
import { issuesOf } from "../../core/schema-issue.ts";
import { parseHash, type TokenHash } from "./tokens.ts";
import { ROLES, type Role } from "./visitor.ts";

/** Users of one file. */
const MAX_USERS = 1_000;

export const userName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/, "letters, digits and . _ @ -, at most 64");

const hashField = z.string().transform((text, context): TokenHash => {
  const hash = parseHash(text);
  if (hash !== null) return hash;
  context.addIssue({ code: "custom", message: "is no hash that `hostmesh dashboard user` prints" });
  return z.NEVER;
});

const usersSchema = z.strictObject({
  users: z
    .array(
      z.strictObject({
        name: userName,
        role: z.enum(ROLES),
        /** Live requests show traffic of others; editors see them anyway. */
        tap: z.boolean().default(false),
        hash: hashField,
      }),
    )
    .max(MAX_USERS),
});

export interface User {
  readonly name: string;
  readonly role: Role;
  readonly mayTap: boolean;
  readonly hash: TokenHash;
}

/** Reads the text of a users file, YAML or JSON. Throws with the path of the first bad field. */
export function parseUsers(text: string): ReadonlyMap<string, User> {
  const parsed = usersSchema.safeParse(parse(text, { maxAliasCount: 0 }));
  if (!parsed.success) {
    const { path, reason } = issuesOf(parsed.error)[0] ?? { path: "", reason: "refused" };
    throw new Error(path === "" ? reason : `${path}: ${reason}`, { cause: parsed.error });
  }
  const users = new Map<string, User>();
  for (const [index, { name, role, tap, hash }] of parsed.data.users.entries()) {
    if (users.has(name)) throw new Error(`users[${index}].name: ${name} is there twice`);
    users.set(name, { name, role, mayTap: tap || role === "editor", hash });
  }
  return users;
}
