import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { after, before, beforeEach, describe, it } from "node:test";
import { collectTop, liveTop } from "../../../src/cli/sight/run-top.ts";
import { foldPath, type TopEvent, TopTable } from "../../../src/cli/sight/top-table.ts";
import { until } from "../../helpers/until.ts";
import { type CliResult, runCliHere } from "../run.ts";
import { openPeer, type Peer } from "./peer.ts";

const TAP = "/v1/mesh/sight/tap";
const NOBODY = "http://127.0.0.1:1";

interface Event extends TopEvent {
  readonly entry: string;
}

function event(more: Partial<Event> = {}): Event {
  return {
    entry: "captured",
    source: "default/front",
    destination: "default/catalog",
    protocol: "http",
    method: "GET",
    path: "/items/17?page=2",
    route: "canary",
    status: 200,
    error: null,
    durationMs: 5,
    ...more,
  };
}

const grouping = { routes: false, hideSources: false, fullPaths: false };
const items = (events: readonly Event[]) => events.map((each) => ({ type: "event", event: each }));

describe("the table of top", () => {
  it("adds up what is of one kind: identifiers and queries make no kinds of their own", () => {
    const table = new TopTable(grouping);
    table.add(event({ durationMs: 5 }));
    table.add(event({ path: "/items/18", durationMs: 1 }));
    table.add(event({ path: "/items/18", durationMs: 3, status: 503 }));
    const [row, ...others] = table.rows("count");
    assert.deepEqual(others, []);
    assert.deepEqual(row, {
      source: "default/front",
      destination: "default/catalog",
      method: "GET",
      path: "/items/*",
      route: null,
      count: 3,
      failures: 1,
      bestMs: 1,
      worstMs: 5,
      lastMs: 3,
    });
  });

  it("tells apart what it is asked to", () => {
    const kinds = (more: object) => {
      const table = new TopTable({ ...grouping, ...more });
      for (const each of [event(), event({ path: "/items/18", source: "default/job" })]) {
        table.add(each);
      }
      table.add(event({ protocol: "tcp", method: "", path: "" }));
      return table
        .rows("count")
        .map(({ method, path, route, count }) => [method ?? route, path, count]);
    };
    assert.deepEqual(kinds({ hideSources: true }), [
      ["GET", "/items/*", 2],
      ["TCP", "", 1],
    ]);
    assert.deepEqual(kinds({ fullPaths: true, hideSources: true }), [
      ["GET", "/items/17", 1],
      ["GET", "/items/18", 1],
      ["TCP", "", 1],
    ]);
    assert.deepEqual(kinds({ routes: true }), [
      ["canary", null, 2],
      ["canary", null, 1],
    ]);
  });

  it("counts as failed what other figures count: not the client's own errors", () => {
    const table = new TopTable(grouping);
    for (const more of [
      { status: 500 },
      { status: 0, error: "CONNECT_REFUSED" as const },
      { status: 429, error: "RATE_LIMITED" as const },
      { status: 404 },
      { status: 400, error: "BAD_REQUEST" as const },
      { status: 200 },
    ]) {
      table.add(event(more));
    }
    assert.equal(table.rows("count")[0]?.failures, 3);
  });

  it("keeps to its bounds, and says what it forgot", () => {
    const table = new TopTable(grouping, 3);
    for (const path of ["/a", "/b", "/c", "/a", "/d"]) table.add(event({ path }));
    assert.deepEqual(
      table.rows("count").map((row) => row.path),
      ["/a", "/c", "/d"],
    );
    assert.equal(table.forgotten, 1);
    table.add(event({ path: `/${"x".repeat(100_000)}` }));
    assert.ok(table.rows("count").every(({ path }) => (path ?? "").length <= 200));
  });

  it("has an order for each question", () => {
    const table = new TopTable(grouping);
    table.add(event({ path: "/often" }));
    table.add(event({ path: "/often" }));
    table.add(event({ path: "/slow", durationMs: 900 }));
    table.add(event({ path: "/slow", durationMs: 2 }));
    table.add(event({ path: "/slow", durationMs: 1 }));
    table.add(event({ path: "/bad", status: 500, durationMs: 6 }));
    const first = (sort: Parameters<TopTable["rows"]>[0]) => table.rows(sort)[0]?.path;
    assert.deepEqual(
      [first("count"), first("worst"), first("last"), first("success")],
      ["/slow", "/slow", "/bad", "/bad"],
    );
  });

  it("folds identifiers only", () => {
    assert.equal(foldPath("/v1/users/42/x"), "/v1/users/*/x");
    assert.equal(foldPath("/a/0b9a4a3c-9d3f-4f0e-8f0e-1b2c3d4e5f60"), "/a/*");
    assert.equal(foldPath("/blob/00112233445566778899aabbccddeeff"), "/blob/*");
    assert.equal(foldPath("/deadbeef/v2/x1"), "/deadbeef/v2/x1");
  });
});

describe("top", () => {
  let registry: Peer;
  let lines: unknown[] = [];
  let status = 200;
  let endsItself = true;
  const open: ServerResponse[] = [];
  before(async () => {
    registry = await openPeer();
  });
  beforeEach(() => {
    [lines, status, endsItself] = [[], 200, true];
    const answer = (_: unknown, response: ServerResponse) => {
      response.writeHead(status, { "content-type": "application/x-ndjson" });
      const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
      // One byte at a time, as a slow network would: characters of several bytes are cut in the middle.
      for (const byte of Buffer.from(`${text.join("\n")}\n`)) response.write(Buffer.of(byte));
      if (endsItself) response.end();
      else open.push(response);
    };
    registry.answers.set(TAP, answer);
    registry.answers.set("/sight/tap", answer);
  });
  after(() => registry.close());

  function top(...args: string[]): Promise<CliResult> {
    return runCliHere(["top", ...args, "--registry", registry.url, "--set", "ports.admin=1"]);
  }

  it("prints once where there is no terminal, and asks for no more than it is told to", async () => {
    lines = [
      ...items([event(), event({ path: "/größe", durationMs: 12, status: 500 })]),
      { type: "skipped", host: "a", events: 7 },
      { type: "of a later version" },
    ];
    const args = ["catalog.shop", "--from", "front", "--method", "get", "--path", "/i", "--failed"];
    const { code, stdout, stderr } = await top(...args, "--max-rps", "5", "--host", "node-a");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^SOURCE +DESTINATION +METHOD +PATH +COUNT +BEST +WORST +LAST +SUCCESS$/m);
    assert.match(stdout, /^front +catalog +GET +\/größe +1 +12\.0 ms +12\.0 ms +12\.0 ms +0 %$/m);
    assert.match(stdout, /^7 requests are not in it: more than 5 in a second/m);
    assert.deepEqual(registry.bodies.get(TAP), {
      filter: {
        source: "default/front",
        destination: "shop/catalog",
        method: "GET",
        pathPrefix: "/i",
        failed: true,
      },
      limits: { perSecond: 5, durationMs: 3_600_000 },
      hosts: ["node-a"],
    });
  });

  it("counts a call between hosts once, unless one host is looked at", async () => {
    lines = items([event(), event({ entry: "mesh" })]);
    const count = async (...args: string[]) =>
      JSON.parse((await top("-o", "json", ...args)).stdout).rows[0].count;
    assert.equal(await count(), 1);
    assert.equal(await count("--host", "node-a"), 2);
  });

  it("groups by route, and has nothing to show of nothing", async () => {
    lines = items([event()]);
    assert.match(
      (await top("--routes", "-o", "wide")).stdout,
      /^SOURCE +DESTINATION +ROUTE .* FAILED$/m,
    );
    lines = [];
    const none = await top();
    assert.equal(none.code, 0);
    assert.match(none.stdout, /^No request was seen yet\. hostmesh stat shows/);
  });

  it("ends at its time while the tap goes on", async () => {
    lines = items([event()]);
    endsItself = false;
    const { code, stdout } = await top("--duration", "300ms");
    assert.equal(code, 0);
    assert.match(stdout, /^front +catalog /m);
    await until(() => open.every((response) => response.destroyed), { what: "the tap is let go" });
    for (const wrong of ["soon", "0s", "2h"])
      assert.equal((await top("--duration", wrong)).code, 2);
  });

  it("says why when the tap fails, whatever way that is", async () => {
    for (const [bad, words] of [
      [
        { type: "error", error: "the daemon has gone" },
        /the tap ended: the daemon has gone\nhint: /,
      ],
      ["{broken", /sent what is no JSON/],
    ] as const) {
      lines = [bad];
      const { code, stderr } = await top();
      assert.equal(code, 1);
      assert.match(stderr, words);
    }
    registry.answers.set(TAP, (_, response) => {
      response.writeHead(200);
      response.write('{"type":"ev', () => response.destroy());
    });
    assert.match((await top()).stderr, /the connection to the registry broke/);
    registry.answers.set(TAP, [503, { error: "at most 8 taps" }]);
    assert.match((await top()).stderr, /the registry refused POST .*: 503 at most 8 taps/);
  });

  it("taps this host's daemon where no registry does", async () => {
    lines = items([event()]);
    const port = new URL(registry.url).port;
    const here = ["--set", `ports.admin=${port}`];
    const fallen = await runCliHere(["top", "--registry", NOBODY, ...here]);
    assert.match(fallen.stdout, /^front +catalog /m);
    assert.match(fallen.stderr, /^note: cannot reach the registry .*: showing what the daemon/);
    registry.answers.set(TAP, [403, { error: "only operators" }]);
    assert.match(
      (await runCliHere(["top", "--registry", registry.url, ...here])).stderr,
      /only operators/,
    );
    const old = await runCliHere(["top", "--admin", `${registry.url}/old`]);
    assert.match(old.stderr, /cannot tap: .*\nhint: it is of an older version/);
    const one = await runCliHere(["top", "--registry", NOBODY, ...here, "--host", "node-b"]);
    assert.match(one.stderr, /^error: cannot reach the registry/, "nobody else knows of node-b");
  });
});

describe("top on a terminal", () => {
  class Keys extends EventEmitter {
    readonly isTTY = true;
    readonly modes: boolean[] = [];
    setRawMode(raw: boolean) {
      this.modes.push(raw);
    }
    resume() {}
    pause() {}
    press(key: string) {
      this.emit("data", Buffer.from(key));
    }
  }

  it("takes keys: another order, hold, end; and gives the terminal back", async () => {
    const keys = new Keys();
    const table = new TopTable(grouping);
    const pictures: string[] = [];
    const output = {
      isTTY: true,
      columns: 100,
      rows: 9,
      write: (text: string) => void pictures.push(text),
    };
    const last = () => pictures.at(-1) ?? "";
    const sort = "count" as const;
    const stop = new AbortController();
    const shown = liveTop({
      table,
      view: { grouping, sort, perSecond: 100, wide: false },
      terminal: { output, keys },
      color: false,
      stop,
      intervalMs: 5,
    });
    await collectTop(
      streamOf(items([event(), event(), event({ path: "/slow", durationMs: 80 })])),
      table,
      false,
    );
    await until(() => /GET +\/items\/\* +2 /.test(last()), { what: "the requests are shown" });
    assert.match(last(), /by count; s: /);
    keys.press("s");
    await until(() => /by worst; /.test(last()), { what: "another order" });
    assert.ok(last().indexOf("/slow") < last().indexOf("/items") || !last().includes("/items"));
    keys.press("p");
    await until(() => /by worst, held; /.test(last()), { what: "held" });
    table.add(event({ path: "/new", durationMs: 1_000 }));
    const drawn = pictures.length;
    await until(() => pictures.length > drawn + 2, { what: "it goes on drawing" });
    assert.doesNotMatch(last(), /\/new/);
    keys.press("p");
    await until(() => /\/new/.test(last()), { what: "it goes on" });
    keys.press("q");
    await shown;
    assert.ok(stop.signal.aborted);
    assert.deepEqual(keys.modes, [true, false]);
    assert.equal(keys.listenerCount("data"), 0);
  });

  async function* streamOf(all: readonly unknown[]) {
    yield* all;
  }
});
