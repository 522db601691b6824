import { grpcMessage, grpcStatusOfHttp } from "../core/grpc.ts";
import { localResponse } from "../http/h1/serializer.ts";
import type { RequestHead } from "../http/message.ts";
import type { Origin } from "./context.ts";
import type { AnswerOptions } from "./failure.ts";
import { isGrpcCall } from "./grpc.ts";
import type { RoutePlan } from "./route-plan.ts";
import { redirectTo } from "./routing/transform/redirect.ts";

/** A response that the rules themselves give. */
export interface LocalAnswer {
  readonly status: number;
  /** Where a call of gRPC is answered. */
  readonly grpcStatus?: number;
  /** Name, value, name, value. */
  readonly fields: readonly string[];
  readonly body: string;
}

/** A message of so many characters, each escaped, stays below the 8 KiB of metadata that libraries of gRPC take. */
const MESSAGE_CHARS = 800;

/** The answer of a rule that redirects or responds; null where it forwards. `version`: the client's of HTTP. */
export function answerOf(
  plan: RoutePlan,
  head: RequestHead,
  origin: Origin,
  version: 1 | 2,
): LocalAnswer | null {
  const answer = plainAnswer(plan, head, origin);
  return answer !== null && isGrpcCall(head, version) ? inGrpc(answer) : answer;
}

/**
 * The same to a call of gRPC: a response of trailers only (doc/PROTOCOL-HTTP2.md) with the status that its client would make of
 * HTTP's, and the rule's text as its message. Where it would have been sent to is told as well, though no client goes there.
 */
function inGrpc({ status, fields, body }: LocalAnswer): LocalAnswer {
  const grpcStatus = grpcStatusOfHttp(status);
  const message = grpcMessage(body.slice(0, MESSAGE_CHARS));
  const others = body === "" ? fields : [];
  const own = ["Content-Type", "application/grpc", "grpc-status", String(grpcStatus)];
  const told = message === "" ? [] : ["grpc-message", message];
  return { status: 200, grpcStatus, fields: [...own, ...told, ...others], body: "" };
}

function plainAnswer(plan: RoutePlan, head: RequestHead, origin: Origin): LocalAnswer | null {
  const action = plan.parts?.rule.action;
  if (action === undefined || action.kind === "forward") return null;
  if (action.kind === "respond") {
    const fields = action.body === "" ? [] : ["Content-Type", "text/plain; charset=utf-8"];
    return { status: action.status, fields, body: action.body };
  }
  const scheme = head.scheme === "" ? "http" : head.scheme;
  const request = { scheme, ...placeOf(head, origin), path: head.path };
  const { status, location } = redirectTo(action.redirect, request, plan.match);
  return { status, fields: ["Location", location], body: "" };
}

/** Host and port as the client named them; the port is 0 where it named none. */
function placeOf(head: RequestHead, { destination }: Origin): { host: string; port: number } {
  const { authority } = head;
  const colon = authority.lastIndexOf(":");
  const hasPort = colon !== -1 && !authority.endsWith("]");
  const host = hasPort ? authority.slice(0, colon) : authority;
  if (hasPort) return { host, port: Number(authority.slice(colon + 1)) };
  return { host: host === "" ? (destination?.host ?? "") : host, port: 0 };
}

/** The text of a local answer, CORS headers of its rule included. */
export function localAnswerText(
  { status, fields, body }: LocalAnswer,
  requestId: string,
  options: AnswerOptions,
): string {
  const id = requestId === "" ? [] : ["X-Request-Id", requestId];
  const usual = ["Server", "hostmesh", "Date", new Date().toUTCString(), ...id];
  return localResponse(status, [...usual, ...fields], body, options);
}
