import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { WebSocket } from "ws";
import { until } from "../../helpers/until.ts";
import { enrol, type secureRegistry } from "../identity/setup.ts";
import { dig } from "../setup.ts";

export type SecureRegistry = Awaited<ReturnType<typeof secureRegistry>>;

/** Settles how the other registries reach one that listens on loopback. */
export const LOOPBACK = { replicaAddress: "127.0.0.1" };

type Answers = Record<string, (question: unknown) => unknown>;

/** A daemon with a certificate of its host, on the TLS port; it answers what `answers` names. */
export async function secureDaemon(
  t: TestContext,
  registry: SecureRegistry,
  host: string,
  answers: Answers,
) {
  const { credential } = await enrol(registry, host);
  const target = `${registry.tlsUrl.replace("https", "wss")}/v1/mesh/watch`;
  const socket = new WebSocket(target, { rejectUnauthorized: false, ...credential });
  t.after(() => socket.terminate());
  const asked: unknown[] = [];
  socket.on("error", () => undefined);
  socket.on("open", () => {
    const hello = { type: "hello", protocol: 1, host, zone: "", version: "t", epoch: "" };
    socket.send(JSON.stringify({ ...hello, revision: 0, takes: ["ask"] }));
  });
  const send = (id: unknown, body: unknown, more = {}) => {
    const text = JSON.stringify(body);
    socket.send(JSON.stringify({ type: "answer", id, part: 0, last: true, body: text, ...more }));
  };
  socket.on("message", (data: Buffer) => {
    const message: unknown = JSON.parse(data.toString("utf8"));
    const type = dig(message, "type");
    if (type === "update")
      socket.send(JSON.stringify({ type: "ack", revision: dig(message, "to") }));
    if (type !== "ask" && type !== "ask-end") return;
    asked.push(message);
    const handler = answers[String(dig(message, "question.kind"))];
    if (handler !== undefined) send(dig(message, "id"), handler(dig(message, "question")));
  });
  return { socket, asked, send, credential };
}

/** Resolves when each registry's report names these hosts as reporting. */
export async function allSee(
  registries: readonly SecureRegistry[],
  hosts: readonly string[],
): Promise<void> {
  for (const registry of registries) {
    await until(
      async () => {
        const report = await registry.sight.report();
        const found = report.hosts.filter(({ state }) => state === "reporting");
        return JSON.stringify(found.map(({ host }) => host)) === JSON.stringify(hosts);
      },
      { what: `reports of ${hosts.join(" and ")}` },
    );
  }
  assert.ok(registries.length > 0);
}
