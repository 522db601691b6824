import { once } from "node:events";
import type { TestContext } from "node:test";
import type { HostReport } from "../../../src/sight/host-report.ts";
import type { TapEvent, TapItem } from "../../../src/sight/tap-event.ts";
import { hostReport } from "../../sight/reports.ts";
import { RawWatch } from "../raw-watch.ts";
import { dig } from "../setup.ts";

export interface AnsweringDaemon {
  readonly watch: RawWatch;
  /** Ids of the questions of this kind, oldest first. */
  asked(kind: string): number[];
  answer(id: number, body: unknown, more?: object): void;
  /** Resolves when the registry has read everything that was sent. */
  heard(): Promise<void>;
}

/** A daemon played by hand that takes questions; it answers those that `answers` names at once. */
export async function answeringDaemon(
  t: TestContext,
  url: string,
  host: string,
  answers: Record<string, (question: unknown) => unknown> = {},
): Promise<AnsweringDaemon> {
  const watch = await RawWatch.open(t, url);
  const answer = (id: number, body: unknown, more = {}) => {
    const text = JSON.stringify(body);
    watch.send({ type: "answer", id, part: 0, last: true, body: text, ...more });
  };
  watch.socket.on("message", (data: Buffer) => {
    const message: unknown = JSON.parse(data.toString("utf8"));
    if (dig(message, "type") !== "ask") return;
    const question = dig(message, "question");
    const handler = answers[String(dig(question, "kind"))];
    if (handler !== undefined) answer(Number(dig(message, "id")), handler(question));
  });
  watch.hello({ host, takes: ["ask"] });
  await watch.next("welcome");
  const asked = (kind: string) =>
    watch
      .ofType("ask")
      .filter((ask) => dig(ask, "question.kind") === kind)
      .map((ask) => Number(dig(ask, "id")));
  const heard = async () => {
    watch.socket.ping();
    await once(watch.socket, "pong");
  };
  return { watch, asked, answer, heard };
}

export function reporting(host: string, parts: Partial<HostReport> = {}) {
  return { report: () => hostReport(host, parts) };
}

export function tapItem(host: string, path: string): TapItem {
  const event: TapEvent = {
    ...{ host, atMs: 1, entry: "captured", protocol: "http", httpVersion: "HTTP/1.1" },
    ...{ source: "shop/web", sourceAddress: "10.0.0.1", destination: "shop/api" },
    ...{ route: "default", endpoint: null, endpointAddress: null, security: "mutual_tls" },
    ...{ method: "GET", authority: "api", path, status: 200, grpcStatus: null, error: null },
    ...{ flag: "-", requestBytes: 1, responseBytes: 1, durationMs: 1, attempts: 1 },
    ...{ requestId: "", traceId: "" },
  };
  return { type: "event", event };
}
