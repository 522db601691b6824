import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import type { Readable } from "node:stream";
import { after, describe, it } from "node:test";
import { Http2Client, type Peer, peer } from "../helpers/h2-peers.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

type Version = 1 | 2;

interface Setup {
  readonly lab: PlaneLab;
  /** Responses that the endpoint has not ended, by path. */
  readonly open: Map<string, Http2ServerResponse>;
  /** Asks for a path; resolves with the body once the head is there. */
  ask(path: string): Promise<{ body: Readable; headers: NodeJS.Dict<string | string[]> }>;
}

async function setUp(client: Version, server: Version): Promise<Setup> {
  const open: Setup["open"] = new Map();
  const target: Peer = await peer(server, ({ url }, response) => void open.set(url, response));
  const lab = await planeLab();
  const protocol = server === 1 ? "http" : "http2";
  lab.services(service("web", [endpoint(target.port)], { protocol }));
  const session = client === 1 ? null : new Http2Client(lab.port);
  closers.push(
    target.close,
    () => lab.close(),
    () => session?.close(),
  );
  const ask: Setup["ask"] = async (path) => {
    if (session !== null) {
      const stream = session.session.request({ ":path": path, ":authority": "web" });
      stream.on("error", () => undefined);
      const [headers] = await once(stream, "response");
      return { body: stream, headers };
    }
    const asked = request({ host: "127.0.0.1", port: lab.port, path, headers: { host: "web" } });
    asked.end();
    const [response] = await once(asked, "response");
    return { body: response, headers: response.headers };
  };
  return { lab, open, ask };
}

function textOf(stream: Readable): { text: string; ended: boolean } {
  const got = { text: "", ended: false };
  stream.setEncoding("utf8");
  stream.on("data", (part: string) => {
    got.text += part;
  });
  stream.on("end", () => {
    got.ended = true;
  });
  return got;
}

for (const client of [1, 2] as const) {
  for (const server of [1, 2] as const) {
    describe(`answers that come bit by bit, to HTTP/${client} from HTTP/${server}`, () => {
      it("are server-sent events, each of which arrives by itself", async () => {
        const { lab, open, ask } = await setUp(client, server);
        const asking = ask("/events");
        await until(() => open.has("/events"));
        const source = open.get("/events");
        source?.writeHead(200, {
          "content-type": "text/event-stream",
          "cache-control": "no-cache",
        });
        // The head alone comes before the first event, too.
        (source as unknown as { flushHeaders(): void }).flushHeaders();
        const { body, headers } = await asking;
        assert.equal(headers["content-type"], "text/event-stream");
        const got = textOf(body);
        let sent = "";
        for (let at = 0; at < 50; at++) {
          const event = `id: ${at}\nevent: tick\ndata: ${"x".repeat(at)}\n\n`;
          source?.write(event);
          sent += event;
          await until(() => got.text === sent, { what: `event ${at}` });
        }
        assert.equal(got.ended, false);
        assert.equal(lab.facts.length, 0);
        source?.end();
        await until(() => got.ended);
      });

      it("are long polls, each answered in its time", async () => {
        const { lab, open, ask } = await setUp(client, server);
        const asking = Array.from({ length: 5 }, (_, at) => ask(`/poll/${at}`));
        await until(() => open.size === 5);
        for (const at of [3, 0, 4, 1, 2]) {
          open.get(`/poll/${at}`)?.end(`news ${at}`);
          const { body } = (await asking[at]) ?? assert.fail();
          const got = textOf(body);
          await until(() => got.ended);
          assert.equal(got.text, `news ${at}`);
        }
        await until(() => lab.facts.length === 5);
      });
    });
  }
}
