/**
 * A plain client in a namespace that does what it is asked: one HTTP request, one TCP exchange, or a
 * connection that is held. Nothing here knows of a proxy.
 */
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { answerLines, machineMs } from "./answer-lines.ts";

const TIMEOUT_MS = 8_000;
const held = new Map<string, Socket>();

answerLines((question: Question) => {
  switch (question.op) {
    case "http":
      return http(question);
    case "tcp":
      return tcp(question);
    case "hold":
      return hold(question);
    case "echo":
      return echo(question);
  }
});

type Question = HttpQuestion | TcpQuestion | HoldQuestion | EchoQuestion;

interface HttpQuestion {
  readonly op: "http";
  readonly url: string;
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly timeoutMs?: number;
}

function http(question: HttpQuestion): Promise<object> {
  const { url, method = "GET", body, headers = {}, timeoutMs = TIMEOUT_MS } = question;
  const sentMs = machineMs();
  return new Promise((resolve) => {
    const sending = request(url, { method, headers, agent: false });
    const timer = setTimeout(() => sending.destroy(new Error("TIMEOUT")), timeoutMs);
    sending.on("close", () => clearTimeout(timer));
    sending.on("error", (error) => resolve({ error: codeOf(error), sentMs, doneMs: machineMs() }));
    sending.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("error", (error) => resolve({ error: codeOf(error), sentMs }));
      response.on("end", () => {
        const { statusCode: status, headers: answered } = response;
        resolve({ status, headers: answered, text, sentMs, doneMs: machineMs() });
      });
    });
    sending.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

interface TcpQuestion {
  readonly op: "tcp";
  readonly host: string;
  readonly port: number;
  /** Source port; absent: any. */
  readonly localPort?: number;
  /** Absent: only listen. The sending side is closed after it, unless an answer is expected. */
  readonly send?: string;
  /** Send when this was received. Absent: at once. */
  readonly after?: string;
  /** Ends when this was received; empty text: with the first byte. Absent: when the server has closed. */
  readonly expect?: string;
  /** Silence after which it ends. */
  readonly timeoutMs?: number;
}

function tcp(question: TcpQuestion): Promise<object> {
  const { host, port, localPort, send, after, expect, timeoutMs = TIMEOUT_MS } = question;
  const startMs = machineMs();
  return new Promise((resolve) => {
    const from = localPort === undefined ? {} : { localPort };
    const socket = connect({ host, port, ...from, allowHalfOpen: true });
    let text = "";
    let firstMs: number | null = null;
    let unsent = send;
    const finish = (more: object): void => {
      socket.destroy();
      resolve({ text, firstMs, ms: machineMs() - startMs, ...more });
    };
    const speak = (): void => {
      if (unsent === undefined) return;
      if (expect === undefined) socket.end(unsent, "latin1");
      else socket.write(unsent, "latin1");
      unsent = undefined;
    };
    socket.setTimeout(timeoutMs, () => finish({ error: "TIMEOUT" }));
    socket.on("error", (error) => finish({ error: codeOf(error) }));
    socket.on("connect", () => after === undefined && speak());
    socket.on("data", (chunk) => {
      firstMs ??= machineMs() - startMs;
      text += chunk.toString("latin1");
      if (after !== undefined && text.includes(after)) speak();
      if (expect !== undefined && text.includes(expect)) finish({});
    });
    socket.on("end", () => finish({}));
    socket.on("close", () => finish({}));
  });
}

interface HoldQuestion {
  readonly op: "hold";
  readonly key: string;
  readonly host: string;
  readonly port: number;
}

function hold({ key, host, port }: HoldQuestion): Promise<object> {
  const socket = connect({ host, port });
  held.set(key, socket);
  return new Promise((resolve) => {
    socket.once("connect", () => resolve({}));
    socket.on("error", (error) => resolve({ error: codeOf(error) }));
  });
}

interface EchoQuestion {
  readonly op: "echo";
  readonly key: string;
  readonly text: string;
}

function echo({ key, text }: EchoQuestion): Promise<object> {
  const socket = held.get(key);
  if (socket === undefined || socket.destroyed) return Promise.resolve({ error: "CLOSED" });
  return new Promise((resolve) => {
    let got = "";
    const finish = (answer: object): void => {
      socket.removeAllListeners("data");
      clearTimeout(timer);
      resolve(answer);
    };
    const timer = setTimeout(() => finish({ error: "TIMEOUT", text: got }), TIMEOUT_MS);
    socket.on("data", (chunk) => {
      got += chunk.toString("latin1");
      if (got.length >= text.length) finish({ text: got });
    });
    socket.once("close", () => finish({ error: "CLOSED", text: got }));
    socket.write(text);
  });
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}
