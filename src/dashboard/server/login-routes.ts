import * as z from "zod";
import type { Log } from "../../registry/log.ts";
import { parseInput } from "../../registry/parse-input.ts";
import { type Access, setCookie } from "./access.ts";
import type { DashboardReply, DashboardRoute } from "./dashboard-route.ts";
import type { Visitor } from "./visitor.ts";

const BODY_BYTES = 4_096;
const loginBody = z.strictObject({ token: z.string().min(1).max(1_024) });

export interface LoginParts {
  readonly access: Access;
  readonly log: Log;
  readonly isSecure: boolean;
  readonly sessionMaxMs: number;
}

/** Who one is, logging in and out. */
export function loginRoutes({ access, log, isSecure, sessionMaxMs }: LoginParts): DashboardRoute[] {
  const show = (visitor: Visitor): DashboardReply["body"] => {
    const { role, mayTap, csrf } = visitor;
    const user = visitor.user === "" ? null : visitor.user;
    return { user, role, mayTap, loginNeeded: access.isLoginNeeded && role === null, csrf };
  };
  return [
    {
      method: "GET",
      pattern: "/api/session",
      needs: null,
      handle: ({ visitor }) => ({ body: show(visitor) }),
    },
    {
      method: "POST",
      pattern: "/api/login",
      needs: null,
      bodyBytes: BODY_BYTES,
      async handle(request) {
        const { token } = parseInput(loginBody, request.json());
        const { id, user } = await access.login(request.message, token);
        // Whoever was logged in on this browser is so no more.
        access.logout(request.visitor);
        log.info("dashboard login", { user: user.name, role: user.role, from: request.address });
        const cookie = setCookie(id, isSecure, sessionMaxMs);
        return { body: { user: user.name, role: user.role }, cookie };
      },
    },
    {
      method: "POST",
      pattern: "/api/logout",
      needs: null,
      handle({ visitor, address }) {
        access.logout(visitor);
        if (visitor.session !== null) {
          log.info("dashboard logout", { user: visitor.user, from: address });
        }
        return { body: { user: "", role: null }, cookie: setCookie(null, isSecure, 0) };
      },
    },
  ];
}
