import type { Guest } from "./gate.ts";
import { ECHO, WEB } from "./scratch-plane.ts";

/** One thing that a client of the warm-up sends, and what it then waits for. */
export interface Step {
  readonly send: string;
  /** `message`: a response with its body; `head`: one without; a number: that many bytes. */
  readonly reply: "message" | "head" | number;
}

/** What one connection does from its beginning to its end. */
export interface Script {
  readonly guest: Guest;
  readonly steps: readonly Step[];
}

const EXPLICIT: Guest = { destination: null };
/** GETs before, between and after the rarer kinds, as real traffic has it. */
const GETS = 4;

const COMMON = "User-Agent: warm-up/1\r\nAccept: */*\r\n";
const IDS =
  "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-Request-Id: warm-up\r\n";

/**
 * The scripts of the warm-up: keep-alive connections with every kind of request that is common, a tunnel, and
 * failures. `hosts` are the names of the services, one per balancing policy in use; `captured`: does the worker
 * take captured connections?
 */
export function scripts(hosts: readonly string[], captured: boolean): Script[] {
  const explicit = hosts.map((host) => ({ guest: EXPLICIT, steps: webSteps(host, "nobody") }));
  const tunnel = tunnelSteps();
  const connect: Step = {
    send: "CONNECT echo:80 HTTP/1.1\r\nHost: echo:80\r\n\r\n",
    reply: "head",
  };
  const proxied = { guest: EXPLICIT, steps: [connect, ...tunnel] };
  if (!captured) return [...explicit, ...explicit, proxied];
  const web = { guest: { destination: WEB }, steps: webSteps("shop.example") };
  const echo = { guest: { destination: ECHO }, steps: tunnel };
  return [web, web, ...explicit, echo, web, proxied];
}

/** `stranger`: a host that leads nowhere where the Host field decides. */
function webSteps(host: string, stranger = host): Step[] {
  const get = (kind: string, more = "", to = host): Step => ({
    send: `GET /${kind} HTTP/1.1\r\nHost: ${to}\r\n${COMMON}${more}\r\n`,
    reply: kind === "empty" ? "head" : "message",
  });
  const post = (kind: string, bytes: number): Step => ({
    send: `POST /${kind} HTTP/1.1\r\nHost: ${host}\r\n${COMMON}Content-Type: text/plain\r\nContent-Length: ${bytes}\r\n\r\n${"p".repeat(bytes)}`,
    reply: "message",
  });
  const chunks = `20\r\n${"u".repeat(32)}\r\n0\r\n\r\n`;
  const rare: Step[] = [
    post("small", 100),
    get("medium"),
    post("small", 10_240),
    get("small", IDS),
    get("chunked"),
    {
      send: `PUT /small HTTP/1.1\r\nHost: ${host}\r\n${COMMON}Transfer-Encoding: chunked\r\n\r\n${chunks}`,
      reply: "message",
    },
    get("large"),
    get("missing"),
    get("small", "", stranger),
    get("empty"),
    { send: `HEAD /head HTTP/1.1\r\nHost: ${host}\r\n${COMMON}\r\n`, reply: "head" },
    get("last"),
  ];
  const often = Array.from({ length: GETS }, () => get("small"));
  return [...rare.flatMap((step) => [...often, step]), ...often];
}

/** Bytes both ways: a few, and enough to make the tunnel take buffers of its own. */
function tunnelSteps(): Step[] {
  const echoed = (bytes: number): Step => ({ send: "t".repeat(bytes), reply: bytes });
  return [echoed(16), echoed(1_000), echoed(60_000), echoed(60_000), echoed(16)];
}
