/**
 * A TLS client in a namespace that shows whatever certificate it is given, and checks nothing of the server's: one
 * connection, or one HTTPS request.
 */
import { request } from "node:https";
import { connect, type SecureVersion } from "node:tls";
import { answerLines } from "./answer-lines.ts";

const TIMEOUT_MS = 4_000;

answerLines((question: TlsQuestion | HttpsQuestion) =>
  question.op === "tls" ? tls(question) : https(question),
);

interface Shown {
  /** PEM; absent: no certificate. */
  readonly cert?: string;
  readonly key?: string;
}

interface TlsQuestion extends Shown {
  readonly op: "tls";
  readonly host: string;
  readonly port: number;
  readonly servername?: string;
  readonly alpn?: string;
  readonly maxVersion?: SecureVersion;
  /** A ticket of an earlier connection, base64. */
  readonly session?: string;
  /** After the handshake. */
  readonly send?: string;
  /** Ends when this was received. Absent: when the server has closed. */
  readonly expect?: string;
}

function tls({ host, port, servername, alpn, session, send, expect, ...rest }: TlsQuestion) {
  const { cert, key, maxVersion = "TLSv1.3" } = rest;
  return new Promise<object>((resolve) => {
    const sessions: string[] = [];
    let text = "";
    let secured = {};
    const socket = connect({
      ...{ host, port, maxVersion, minVersion: "TLSv1.2", rejectUnauthorized: false },
      ...(cert === undefined ? {} : { cert, key }),
      ...(servername === undefined ? {} : { servername }),
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
      ...(session === undefined ? {} : { session: Buffer.from(session, "base64") }),
    });
    const timer = setTimeout(() => finish({ error: "TIMEOUT" }), TIMEOUT_MS);
    const finish = (more: object): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, sessions, ...secured, ...more });
    };
    socket.on("secureConnect", () => {
      const { subjectaltname = "" } = socket.getPeerCertificate();
      secured = { server: subjectaltname, reused: socket.isSessionReused() };
      if (send !== undefined) socket.write(send);
    });
    socket.on("session", (ticket: Buffer) => sessions.push(ticket.toString("base64")));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (expect !== undefined && text.includes(expect)) finish({});
    });
    socket.on("error", (error) => finish({ error: codeOf(error) }));
    socket.on("close", () => finish({ closed: true }));
  });
}

interface HttpsQuestion extends Shown {
  readonly op: "https";
  readonly url: string;
  readonly method?: string;
  readonly body?: unknown;
}

function https({ url, method = "GET", body, cert, key }: HttpsQuestion): Promise<object> {
  return new Promise((resolve) => {
    const shown = cert === undefined ? {} : { cert, key };
    const options = { method, agent: false, rejectUnauthorized: false, timeout: TIMEOUT_MS };
    const sending = request(url, { ...options, ...shown }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("error", (error) => resolve({ error: codeOf(error) }));
      response.on("end", () => resolve({ status: response.statusCode, text }));
    });
    sending.on("timeout", () => sending.destroy(new Error("TIMEOUT")));
    sending.on("error", (error) => resolve({ error: codeOf(error) }));
    sending.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}
