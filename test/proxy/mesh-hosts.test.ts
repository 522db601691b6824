import assert from "node:assert/strict";
import { once } from "node:events";
import { type Agent, get, type IncomingMessage, request } from "node:http";
import { describe, type TestContext, test } from "node:test";
import { type Answer, type Peer, peer } from "../helpers/h2-peers.ts";
import { credentialsOf, issue, newAuthority, spiffe } from "../helpers/mesh-lab.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

const [WEB, API] = [spiffe("web"), spiffe("api")];
const HOST_A = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";

/** Gives the certificates of one of them anew. */
type Renew = (whose: "a" | "b") => void;

/** Two data planes of this version with mutual TLS between them; `web` and `api` live behind the second, by one server. */
async function twoHosts(
  t: TestContext,
  answer: Answer,
): Promise<{ a: PlaneLab; b: PlaneLab; server: Peer; renew: Renew }> {
  const server = await peer(1, answer);
  t.after(() => server.close());
  const authority = newAuthority();
  const b = await planeLab({ config: { host: "node-b" } });
  t.after(() => b.close());
  const { port } = await b.plane.listen({
    ...{ entry: "mesh", host: "127.0.0.1", port: 0, reusePort: false },
  });
  const a = await planeLab({ config: { host: "node-a" } });
  t.after(() => a.close());
  const renew: Renew = (whose) => {
    const identities = whose === "a" ? [HOST_A] : [WEB, API];
    const held = identities.map((identity) => issue(authority, identity));
    (whose === "a" ? a : b).plane.setCredentials(credentialsOf([authority], held));
  };
  renew("a");
  renew("b");
  const at = (lab: PlaneLab, more: object) =>
    lab.services(
      service("web", [endpoint(server.port, { identity: WEB, ...more })]),
      service("api", [endpoint(server.port, { identity: API, address: "127.0.0.2", ...more })]),
    );
  at(b, {});
  at(a, { local: false, host: "node-b", mesh: { host: "127.0.0.1", port } });
  return { a, b, server, renew };
}

async function ask(
  { port }: PlaneLab,
  path: string,
  host = "web",
  agent?: Agent,
  more: Record<string, string> = {},
): Promise<string> {
  const headers = { host, ...more };
  const options = { port, host: "127.0.0.1", path, headers, agent: agent ?? false };
  const [response] = (await once(get(options), "response")) as [IncomingMessage];
  let body = `${response.statusCode} `;
  for await (const chunk of response) body += chunk.toString("latin1");
  return body;
}

describe("between two hosts of this version", () => {
  test("a hundred requests of HTTP/1.1 at once share a connection, and are HTTP/1.1 again", async (t) => {
    const waiting: (() => void)[] = [];
    const { a, b } = await twoHosts(t, (incoming, response) => {
      waiting.push(() => response.end(`${incoming.httpVersion} ${incoming.url}`));
    });
    const all = Array.from({ length: 100 }, (_, at) => ask(a, `/${at}`));
    await until(() => waiting.length === 100);
    assert.equal(b.plane.stats().connections, 1);
    for (const one of waiting) one();
    for (const [at, got] of (await Promise.all(all)).entries()) {
      assert.equal(got, `200 1.1 /${at}`);
    }
    await until(() => b.facts.length === 100);
    assert.ok(b.facts.every(({ status, error }) => status === 200 && error === null));
    const { idleUpstream, busyUpstream } = a.plane.stats();
    assert.deepEqual([idleUpstream, busyUpstream], [1, 0]);
  });

  test("a head of as many fields as a client may send gets to another host as to this one", async (t) => {
    const { a, b } = await twoHosts(t, (incoming, response) => {
      response.end(
        String(Object.keys(incoming.headers).filter((name) => /^x-f\d/.test(name)).length),
      );
    });
    const more = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-f${at}`, "v"]));
    // Host and Connection are two of a hundred.
    for (const lab of [a, b]) {
      assert.equal(await ask(lab, "/", "web", undefined, more(98)), "200 98");
      assert.match(await ask(lab, "/", "web", undefined, more(99)), /^431 /);
    }
  });

  test("two identities of the other host have a connection each", async (t) => {
    const { a, b } = await twoHosts(t, (incoming, response) => {
      response.end(String(incoming.headers["x-forwarded-client-cert"]));
    });
    assert.match(await ask(a, "/", "web"), new RegExp(`By=${WEB};.*URI=${HOST_A}$`));
    await ask(a, "/", "api");
    assert.equal(b.plane.stats().connections, 2);
  });

  test("fifty megabytes each way do not hold up small requests, and arrive whole", async (t) => {
    const size = 50_000_000;
    const piece = Buffer.alloc(100_000, "d");
    let got = 0;
    const { a } = await twoHosts(t, (incoming, response) => {
      if (incoming.url === "/small") response.end("small");
      else {
        incoming.on("data", (chunk: Buffer) => {
          got += chunk.length;
        });
        let left = size;
        const more = (): void => {
          while (left > 0) {
            left -= piece.length;
            if (!response.write(piece)) {
              response.once("drain", more);
              return;
            }
          }
          response.end();
        };
        more();
      }
    });
    const options = { port: a.port, host: "127.0.0.1", method: "POST", path: "/large" };
    const outgoing = request({ ...options, headers: { host: "web" }, agent: false });
    outgoing.end(Buffer.alloc(size, "u"));
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    let came = 0;
    let smallWhileLarge = 0;
    const isOver = () => came === size && got === size;
    response.on("data", (chunk: Buffer) => {
      came += chunk.length;
    });
    while (!isOver() && smallWhileLarge < 10) {
      assert.equal(await ask(a, "/small"), "200 small");
      if (!isOver()) smallWhileLarge += 1;
    }
    assert.equal(smallWhileLarge, 10, "they were answered while the large one was under way");
    await until(isOver, { what: "both large ones, whole" });
  });

  for (const whose of ["a", "b"] as const) {
    test(`what is new goes by a new connection when ${whose} has new certificates, and nothing is lost`, async (t) => {
      const waiting: (() => void)[] = [];
      const { a, b, renew } = await twoHosts(t, (incoming, response) => {
        if (incoming.url === "/late") waiting.push(() => response.end("late"));
        else response.end("at once");
      });
      const late = ask(a, "/late");
      await until(() => waiting.length === 1);
      assert.equal(await ask(a, "/"), "200 at once");
      assert.equal(b.plane.stats().connections, 1);
      renew(whose);
      await until(async () => {
        assert.equal(await ask(a, "/"), "200 at once");
        return b.plane.stats().connections === 2;
      });
      waiting[0]?.();
      assert.equal(await late, "200 late");
      await until(() => b.plane.stats().connections === 1, { what: "the end of the old one" });
      assert.equal(await ask(a, "/"), "200 at once");
      assert.equal(b.plane.stats().connections, 1);
      assert.ok(a.facts.every(({ error, attempts }) => error === null && attempts === 1));
    });
  }

  test("a shutdown of the called host lets end what is under way, and what comes is told", async (t) => {
    const waiting: (() => void)[] = [];
    const { a, b } = await twoHosts(t, (_incoming, response) => {
      waiting.push(() => response.end("late"));
    });
    const late = ask(a, "/");
    await until(() => waiting.length === 1);
    const drained = b.plane.drain(10_000);
    const next = ask(a, "/next");
    waiting[0]?.();
    assert.equal(await late, "200 late");
    await drained;
    assert.match(await next, /^50[0-9] /, "nobody is there any more, which is said");
  });
});
