import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { after, describe, it } from "node:test";
import { HandTimers } from "../helpers/hand-timers.ts";
import { endpoint, type LabOptions, planeLab, service } from "../helpers/plane.ts";
import { everything, table } from "../helpers/route-lab.ts";
import { openTunnel, type ServerTunnel, tunnelServer } from "../helpers/tunnels.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

interface Timeouts {
  readonly requestMs?: number;
  readonly idleMs?: number;
}

/** A WebSocket through a rule with these timeouts; the server echoes. */
async function tunnelled(
  version: 1 | 2,
  timeouts: Timeouts = {},
  options: LabOptions = {},
): Promise<{
  lab: Awaited<ReturnType<typeof planeLab>>;
  near: Duplex;
  far: Duplex;
  got: { text: string; closed: boolean };
}> {
  const asked = Promise.withResolvers<ServerTunnel>();
  const server = await tunnelServer(version, asked.resolve);
  const lab = await planeLab(options);
  const web = service("web", [endpoint(server.port)], {
    protocol: version === 1 ? "http" : "http2",
  });
  lab.services({ ...web, routes: [table([everything({ timeouts })])], routeStamp: "1" });
  const opening = openTunnel(version, lab.port);
  const far = (await asked.promise).accept();
  far.pipe(far);
  const { duplex, close } = await opening;
  closers.push(
    () => lab.close(),
    close,
    () => server.close(),
  );
  const near = duplex as Duplex;
  const got = { text: "", closed: false };
  near.on("data", (chunk: Buffer) => {
    got.text += chunk.toString();
  });
  near.on("close", () => {
    got.closed = true;
  });
  near.on("end", () => near.end());
  return { lab, near, far, got };
}

for (const version of [1, 2] as const) {
  describe(`a WebSocket of HTTP/${version}`, () => {
    it("outlives the request timeout of its rule", async () => {
      const timers = new HandTimers();
      const { near, got, lab } = await tunnelled(version, { requestMs: 500 }, { timers });
      near.write("one");
      await until(() => got.text === "one");
      for (let at = 0; at < 10; at++) timers.advance(400);
      near.write("two");
      await until(() => got.text === "onetwo");
      assert.equal(lab.facts.length, 0);
    });

    it("ends when it is silent for the idle limit of its rule, and not while it is not", async () => {
      const timers = new HandTimers();
      const { near, got, lab } = await tunnelled(version, { idleMs: 4_000 }, { timers });
      for (let at = 0; at < 8; at++) {
        near.write(".");
        await until(() => got.text.length === at + 1);
        timers.advance(1_000);
      }
      assert.equal(got.closed, false);
      await until(() => {
        timers.advance(100);
        return got.closed;
      });
      await until(() => lab.facts.length === 1);
      assert.equal(lab.facts[0]?.requestBytes, 8);
    });

    it("has the limit of tunnels where its rule says none, and none where its rule says 0", async () => {
      for (const idleMs of [undefined, 0]) {
        const timers = new HandTimers();
        const config = { timeouts: { tunnelIdleMs: 4_000 } };
        const rule = idleMs === undefined ? {} : { idleMs };
        const { near, got } = await tunnelled(version, rule, { timers, config });
        near.write("x");
        await until(() => got.text === "x");
        const isOver = async () => {
          // The clock is looked at ten times a second; what comes behind the look shows that it was.
          for (let at = 0; at < 12; at++) {
            timers.advance(1_000);
            const behindMs = performance.now() + 150;
            await until(() => got.closed || performance.now() > behindMs);
          }
          return got.closed;
        };
        assert.equal(await isOver(), idleMs === undefined);
      }
    });

    it("goes on in a shutdown until that ends, and ends with it", async () => {
      const { near, got, lab } = await tunnelled(version);
      let goaway = 0;
      const { session } = near as { session?: { on(event: "goaway", listener: () => void): void } };
      session?.on("goaway", () => {
        goaway += 1;
      });
      near.write("before");
      await until(() => got.text === "before");
      const drained = lab.plane.drain(1_500);
      if (version === 2) await until(() => goaway > 0);
      near.write(" during");
      await until(() => got.text === "before during");
      assert.equal(got.closed, false);
      await drained;
      await until(() => got.closed);
      assert.equal(lab.facts.length, 1);
    });

    it("lets a shutdown end at once when it closes by itself", async () => {
      const { near, got, lab } = await tunnelled(version);
      near.write("x");
      await until(() => got.text === "x");
      const drained = lab.plane.drain(25_000);
      near.end("bye");
      await drained;
      assert.equal(got.text, "xbye");
      await until(() => lab.facts.length === 1);
    });
  });
}
