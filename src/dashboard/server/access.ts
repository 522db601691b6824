import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isLocalHost } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import { FailureLimit } from "../../registry/identity/failure-limit.ts";
import { RegistryError } from "../../registry/registry-error.ts";
import { CSRF_HEADER, isFromElsewhere, isOwnOrigin, isSameText } from "./gate.ts";
import type { RefusalReason, Refusals } from "./refusals.ts";
import type { SessionLimits } from "./sessions.ts";
import { Sessions } from "./sessions.ts";
import { isSecretOf, splitToken } from "./tokens.ts";
import type { User } from "./users.ts";
import { mayAct, type Role, type Visitor } from "./visitor.ts";

export const COOKIE = "hostmesh_session";
/** Hashes that are computed at once: each takes a thread, and 16 MiB. */
const MAX_LOGINS = 2;

export interface AccessOptions {
  /** As of now; null: nobody needs to log in. */
  users(): ReadonlyMap<string, User> | null;
  readonly isSecure: boolean;
  readonly limits: SessionLimits;
  readonly clock: Clock;
  readonly refusals: Refusals;
}

/** Who may do what at the dashboard: logins, and what pages of other sites must not be able to do in a user's name. */
export class Access {
  readonly #options: AccessOptions;
  readonly #sessions: Sessions;
  readonly #wrongTokens: FailureLimit;
  readonly #wrongCookies: FailureLimit;
  /** For those who have not logged in, or need not: no other site can read it. */
  readonly #csrf = randomBytes(32).toString("base64url");
  #loginsUnderWay = 0;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#sessions = new Sessions(options.limits, options.clock);
    this.#wrongTokens = new FailureLimit(options.clock);
    this.#wrongCookies = new FailureLimit(options.clock);
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  get isLoginNeeded(): boolean {
    return this.#options.users() !== null;
  }

  /** Throws 421 for a request that was meant for another host. */
  checkHost(request: IncomingMessage): void {
    // With logins a page of another name has none of our cookies.
    if (this.isLoginNeeded || isLocalHost(request.headers.host)) return;
    this.refuse("foreign host", request, 421, "the dashboard is at 127.0.0.1 or localhost here");
  }

  /** Who makes a request. Throws 429 for an address that tries cookies. */
  visitorOf(request: IncomingMessage): Visitor {
    const users = this.#options.users();
    if (users === null) {
      return { user: "", role: "editor", mayTap: true, csrf: this.#csrf, session: null };
    }
    const nobody: Visitor = {
      ...{ user: "", role: null, mayTap: false, csrf: this.#csrf, session: null },
    };
    const id = cookieOf(request);
    if (id === null) return nobody;
    const session = this.#sessions.use(id);
    const user = session === null ? undefined : users.get(session.user);
    if (session !== null && user !== undefined) {
      const { name, role, mayTap } = user;
      return { user: name, role, mayTap, csrf: session.csrf, session: id };
    }
    this.#sessions.end(id);
    const address = addressOf(request);
    if (this.#wrongCookies.waitMs(address) > 0) {
      this.refuse("too many failures", request, 429, "too many unknown sessions: wait a minute");
    }
    this.#wrongCookies.count(address);
    this.#options.refusals.count("unknown session", factsOf(request));
    return nobody;
  }

  /** Throws 403 where another site's page may have made the request. */
  checkSite(request: IncomingMessage, visitor: Visitor): void {
    const { isSecure } = this.#options;
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (isRead ? isFromElsewhere(request, isSecure) : !isOwnOrigin(request, isSecure)) {
      this.refuse(
        "foreign origin",
        request,
        403,
        "requests from pages of other origins are refused",
      );
    }
    if (isRead) return;
    const given = request.headers[CSRF_HEADER];
    if (typeof given === "string" && isSameText(given, visitor.csrf)) return;
    const message = `the header ${CSRF_HEADER} must hold the token of GET /api/session`;
    this.refuse("no csrf token", request, 403, message);
  }

  /** Throws 403 for a handshake that was not made by our page. */
  checkSocket(request: IncomingMessage): void {
    if (isOwnOrigin(request, this.#options.isSecure)) return;
    this.refuse("foreign origin", request, 403, "requests from pages of other origins are refused");
  }

  /** Throws 401 without a login, 403 where the role does not suffice. */
  checkRole(request: IncomingMessage, visitor: Visitor, needed: Role): void {
    if (visitor.role === null) this.refuse("login needed", request, 401, "log in first");
    if (mayAct(visitor, needed)) return;
    const message = `this needs the role ${needed}; ${visitor.user} has ${visitor.role}`;
    this.refuse("role", request, 403, message, visitor);
  }

  /** Begins a session; its id. Throws 401 for a wrong token, 429 for an address with too many, 503 while others log in. */
  async login(request: IncomingMessage, token: string): Promise<{ id: string; user: User }> {
    const users = this.#options.users();
    if (users === null) throw new RegistryError(409, "no login is needed here");
    const address = addressOf(request);
    if (this.#wrongTokens.waitMs(address) > 0) {
      this.refuse("too many failures", request, 429, "too many wrong tokens: wait a minute");
    }
    if (this.#loginsUnderWay >= MAX_LOGINS) {
      throw new RegistryError(503, "others are logging in: try again");
    }
    const { name, secret } = splitToken(token);
    const user = users.get(name);
    // Counted before it is known, so that many at once are no way around the limit.
    this.#wrongTokens.count(address);
    this.#loginsUnderWay++;
    try {
      if (await isSecretOf(secret, user?.hash ?? null)) {
        if (user !== undefined) return { id: this.#sessions.start(user.name), user };
      }
    } finally {
      this.#loginsUnderWay--;
    }
    return this.refuse("wrong token", request, 401, "the token is not known");
  }

  logout(visitor: Visitor): void {
    if (visitor.session !== null) this.#sessions.end(visitor.session);
  }

  /** Counts, writes down and throws. */
  refuse(
    reason: RefusalReason,
    request: IncomingMessage,
    status: number,
    message: string,
    visitor?: Visitor,
  ): never {
    const user = visitor === undefined || visitor.user === "" ? {} : { user: visitor.user };
    this.#options.refusals.count(reason, { ...factsOf(request), ...user });
    throw new RegistryError(status, message);
  }
}

export function addressOf(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? "";
}

/** For the log: without the query, and not longer than a line. */
export function factsOf(request: IncomingMessage): { from: string; method: string; path: string } {
  const path = (request.url ?? "").split("?")[0] ?? "";
  return { from: addressOf(request), method: request.method ?? "", path: path.slice(0, 200) };
}

/** Does the request bring a cookie of ours, good or bad? */
export function cookieOf(request: IncomingMessage): string | null {
  for (const pair of (request.headers.cookie ?? "").split(";")) {
    const equals = pair.indexOf("=");
    if (equals !== -1 && pair.slice(0, equals).trim() === COOKIE) {
      return pair.slice(equals + 1).trim();
    }
  }
  return null;
}

/** `id` null: removes it. */
export function setCookie(id: string | null, isSecure: boolean, maxAgeMs: number): string {
  const maxAge = id === null ? 0 : Math.ceil(maxAgeMs / 1_000);
  const secure = isSecure ? "; Secure" : "";
  return `${COOKIE}=${id ?? ""}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAge}${secure}`;
}
