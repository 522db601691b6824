import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { after, describe, it } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { HostPort } from "../../src/core/address.ts";
import type { AppProtocol } from "../../src/core/model.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { answering, RawClient, type RawServer, rawServer } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";
import { nothingHeld, OK } from "../helpers/web-lab.ts";

const VIP = "10.99.0.1";
const GET = "GET / HTTP/1.1\r\nHost: whatever\r\n\r\n";
const PEEK_MS = 150;

interface CapturedLab {
  readonly lab: PlaneLab;
  readonly upstream: RawServer;
  /** Where the next client is going; a virtual address unless set. */
  goTo(place: HostPort): void;
  open(): Promise<RawClient>;
  /** Closes what is left: everything must be given back, and the next client be served. */
  settle(): Promise<void>;
}

const closers: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closers) await close();
});

interface Options {
  readonly protocol?: AppProtocol;
  readonly config?: ConfigInput;
  readonly onConnection?: Parameters<typeof rawServer>[1];
  readonly port?: number;
}

async function capturedLab(
  onData: Parameters<typeof rawServer>[0],
  { protocol, config = {}, onConnection, port }: Options = {},
): Promise<CapturedLab> {
  const upstream = await rawServer(onData, onConnection);
  const alive = await rawServer(answering(OK));
  let place: HostPort = { host: VIP, port: 80 };
  const lab = await planeLab({
    config: { detection: { peekMs: PEEK_MS }, ...config },
    destination: { of: () => place },
  });
  const places = [endpoint(port ?? upstream.port), endpoint(alive.port)] as const;
  const options = { addresses: [VIP], ...(protocol === undefined ? {} : { protocol }) };
  const other = service("alive", [places[1]], { addresses: ["10.99.0.2"] });
  lab.services(service("db", [places[0]], options), other);
  const slots = places.map((one) => one.slot);
  const clients: RawClient[] = [];
  const open = async () => {
    const client = await RawClient.open(lab.port);
    clients.push(client);
    return client;
  };
  closers.push(async () => {
    for (const client of clients) client.close();
    await lab.close();
    await upstream.close();
    await alive.close();
  });
  return {
    lab,
    upstream,
    goTo: (next) => {
      place = next;
    },
    open,
    settle: async () => {
      for (const client of clients.splice(0)) client.close();
      await nothingHeld(lab, slots);
      place = { host: "10.99.0.2", port: 80 };
      const next = await open();
      next.send(GET);
      await next.until(/ok$/);
      next.close();
      await nothingHeld(lab, slots);
      lab.services();
      await until(() => slots.every((slot) => lab.endpoints.connections(slot) === 0));
    },
  };
}

/** What a client receives that is reset, perhaps before it knows that it is connected. */
async function refusal(open: () => Promise<RawClient>): Promise<string> {
  try {
    const client = await open();
    client.send(GET);
    return await client.untilEnd();
  } catch (error) {
    assert.match(`${error}`, /ECONNRESET/);
    return "";
  }
}

const echo = (socket: Socket, received: string) => {
  if (received.endsWith("!")) socket.write(`<${received}>`);
};

describe("a captured connection", () => {
  it("carries HTTP to a virtual address and to an endpoint itself", async () => {
    const { lab, upstream, goTo, open, settle } = await capturedLab(answering(OK));
    for (const place of [
      { host: VIP, port: 1234 },
      { host: "127.0.0.1", port: upstream.port },
    ]) {
      goTo(place);
      const client = await open();
      client.send(GET.repeat(2));
      await client.until(/ok[^]*ok$/);
    }
    assert.match(upstream.received.join(""), /X-Request-Id: /);
    assert.deepEqual(
      lab.facts.map((one) => [one.entry, one.protocol, one.service?.name, one.route, one.security]),
      Array.from({ length: 4 }, () => ["captured", "http", "db", "default", "same_host"]),
    );
    await settle();
  });

  it("passes untouched, and counted, to a destination outside the mesh", async () => {
    const { lab, upstream, goTo, open, settle } = await capturedLab(answering(OK));
    lab.services();
    goTo({ host: "127.0.0.1", port: upstream.port });
    const client = await open();
    client.send(GET);
    await client.until(OK);
    assert.equal(upstream.received[0], GET, "not a byte is changed");
    client.socket.end();
    upstream.sockets[0]?.end();
    await until(() => lab.facts.length === 1);
    const [facts] = lab.facts;
    assert.equal(facts?.entry, "passthrough");
    assert.deepEqual([facts?.route, facts?.security], ["default", "passthrough"]);
    assert.equal(facts?.protocol, "tcp");
    assert.equal(facts?.requestBytes, GET.length);
    assert.equal(facts?.responseBytes, OK.length);
    lab.services(service("alive", [endpoint(upstream.port)], { addresses: ["10.99.0.2"] }));
    await settle();
  });

  it("is treated as declared, whatever it says", async () => {
    const http = await capturedLab(echo, { protocol: "http" });
    const wrong = await http.open();
    wrong.send("hello!\r\n\r\n");
    assert.match(await wrong.untilEnd(), /^HTTP\/1\.1 400 /);
    assert.equal(http.upstream.sockets.length, 0);
    await http.settle();
    for (const protocol of ["tcp", "tls"] as const) {
      const opaque = await capturedLab(
        (socket, received) => socket.write(received === GET ? "raw" : "changed"),
        { protocol },
      );
      const client = await opaque.open();
      client.send(GET);
      await client.until("raw");
      await opaque.settle();
    }
  });

  it("becomes a tunnel when its first bytes are not HTTP, remembered or not", async () => {
    const { lab, open, settle } = await capturedLab(echo);
    for (const first of ["*1\r\n$4\r\nPING\r\n!", "\0\x01\x02!", "GET key\r\n!"]) {
      const client = await open();
      client.send(first);
      assert.equal(await client.until(/!>$/), `<${first}>`);
      client.socket.end();
      await client.untilEnd();
    }
    await until(() => lab.facts.length === 3);
    assert.ok(lab.facts.every((one) => one.protocol === "tcp" && one.error === null));
    await settle();
  });

  it("hears a server that speaks first at once, on first contact and later", async () => {
    const greet = (socket: Socket) => socket.write("220 ready\r\n");
    const { lab, open, settle } = await capturedLab(echo, {
      onConnection: greet,
      config: { detection: { peekMs: 60_000 } },
    });
    for (let turn = 0; turn < 3; turn += 1) {
      const client = await open();
      await client.until("220 ready\r\n");
      client.send("EHLO!");
      await client.until("<EHLO!>");
      client.close();
    }
    await until(() => lab.facts.length === 3);
    await settle();
  });

  it("hears a server that speaks first where HTTP was seen, after a peek", async () => {
    const { open, settle } = await capturedLab(
      (socket, received) => {
        if (received.endsWith("\r\n\r\n")) socket.write(OK);
      },
      {
        onConnection: (socket) => {
          setTimeout(() => socket.bytesRead === 0 && socket.write("220 ready\r\n"), 50);
        },
      },
    );
    const first = await open();
    first.send(GET);
    await first.until(/ok$/);
    const startMs = performance.now();
    const silent = await open();
    await silent.until("220 ready\r\n");
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= PEEK_MS && tookMs < PEEK_MS + 500, `${tookMs} ms`);
    // From now on it is known to speak first, and nothing waits.
    const next = await open();
    await next.until("220 ready\r\n");
    await settle();
  });

  it("is HTTP also when it comes byte by byte, and nothing of it is lost", async () => {
    const { lab, upstream, open, settle } = await capturedLab(answering(OK));
    const client = await open();
    await client.sendBytewise(GET);
    await client.until(/ok$/);
    assert.match(
      upstream.received.join(""),
      /^GET \/ HTTP\/1\.1\r\nHost: whatever\r\n[^]*X-Request-Id/,
    );
    assert.equal(lab.facts[0]?.protocol, "http");
    await settle();
  });

  it("lets the rest of a first line take its time, and passes it where it is none of HTTP", async () => {
    const { open, settle } = await capturedLab(echo);
    const client = await open();
    client.send("GET /not-yet-a-line");
    await new Promise((resolve) => setTimeout(resolve, PEEK_MS + 50));
    assert.equal(client.received, "");
    client.send(" or two\r\n!");
    assert.equal(await client.until(/>$/), "<GET /not-yet-a-line or two\r\n!>");
    await settle();
  });

  it("says 502 to an HTTP client of an endpoint that is unreachable, and closes on a silent one", async () => {
    const dead = await rawServer(() => undefined);
    await dead.close();
    const { lab, open, settle } = await capturedLab(echo, { port: dead.port });
    const client = await open();
    client.send(GET);
    await client.until(/^HTTP\/1\.1 502 [^]*X-Hostmesh-Error: CONNECT_REFUSED\r\n/);
    const silent = await open();
    assert.equal(await silent.untilEnd(), "");
    const binary = await open();
    binary.send("\0\0\0");
    assert.equal(await binary.untilEnd(), "");
    await until(() =>
      lab.facts.some((one) => one.protocol === "tcp" && one.error === "CONNECT_REFUSED"),
    );
    await settle();
  });

  it("keeps half-close in both directions", async () => {
    const { upstream, open, settle } = await capturedLab(() => undefined, {
      onConnection: (socket) => {
        socket.removeAllListeners("end");
        socket.on("end", () => socket.end("answer"));
      },
    });
    const client = await open();
    client.send("\0request");
    client.socket.end();
    assert.equal(await client.untilEnd(), "answer");
    assert.equal(upstream.received[0], "\0request");
    const server = await capturedLab(() => undefined, {
      onConnection: (socket) => socket.end("greeting and end"),
    });
    const late = await server.open();
    assert.equal(await late.untilEnd(), "greeting and end");
    late.send("still listening?");
    await until(() => server.upstream.received[0] === "still listening?");
    late.socket.end();
    await until(() => server.lab.facts.length === 1);
    assert.equal(server.lab.facts[0]?.requestBytes, 16);
    await settle();
    await server.settle();
  });

  it("passes a FIN on from a server that never said a word", async () => {
    const { lab, open, settle } = await capturedLab(() => undefined, {
      onConnection: (socket) => socket.end(),
    });
    const client = await open();
    assert.equal(await client.untilEnd(), "");
    assert.equal(client.error, null);
    client.socket.end();
    await until(() => lab.facts.length === 1);
    await settle();
  });

  it("passes a reset on, from either side, before and in a tunnel", async () => {
    const { lab, upstream, open, settle } = await capturedLab(echo);
    const client = await open();
    client.send("\0!");
    await client.until("<\0!>");
    upstream.sockets[0]?.resetAndDestroy();
    await client.untilEnd();
    assert.match(`${client.error}`, /ECONNRESET/);
    const other = await open();
    other.send("\0!");
    await other.until("<\0!>");
    const errors: string[] = [];
    upstream.sockets[1]?.on("error", (error) => errors.push(String(error)));
    other.socket.resetAndDestroy();
    await until(() => errors.some((error) => error.includes("ECONNRESET")));
    assert.equal(lab.facts.length, 2);
    await settle();

    const silent = await capturedLab(() => undefined);
    const early = await silent.open();
    await until(() => silent.upstream.sockets.length === 1);
    silent.upstream.sockets[0]?.resetAndDestroy();
    await early.untilEnd();
    assert.match(`${early.error}`, /ECONNRESET/);
    const gone = await silent.open();
    await until(() => silent.upstream.sockets.length === 2);
    gone.socket.resetAndDestroy();
    await until(() => silent.upstream.sockets[1]?.destroyed === true);
    assert.deepEqual(
      silent.lab.facts.map((one) => one.error),
      [null, "CLIENT_CLOSED"],
    );
    await silent.settle();
  });

  it("carries much in both directions at once, byte for byte", async () => {
    const down = randomBytes(12_000_000);
    const up = randomBytes(9_000_000);
    const gotUp = createHash("sha256");
    const { lab, upstream, open, settle } = await capturedLab(() => undefined, {
      protocol: "tcp",
      onConnection: (socket) => {
        socket.on("data", (chunk) => gotUp.update(chunk));
        socket.end(down);
      },
    });
    const client = await open();
    const gotDown = createHash("sha256");
    client.socket.on("data", (chunk) => gotDown.update(chunk));
    client.socket.end(up);
    await client.untilEnd();
    await until(() => upstream.sockets[0]?.readableEnded === true);
    await until(() => lab.facts.length === 1);
    const sum = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
    assert.equal(gotDown.digest("hex"), sum(down));
    assert.equal(gotUp.digest("hex"), sum(up));
    assert.equal(lab.facts[0]?.requestBytes, up.length);
    assert.equal(lab.facts[0]?.responseBytes, down.length);
    await settle();
  });

  it("loses nothing of a client that sends much before its protocol is known", async () => {
    const sum = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
    for (const start of ["\0", "GET /no-line-yet", "G"]) {
      const got = createHash("sha256");
      const { upstream, open, settle } = await capturedLab(() => undefined, {
        onConnection: (socket) => socket.on("data", (chunk) => got.update(chunk)),
      });
      const up = Buffer.concat([Buffer.from(start), Buffer.alloc(1, "\0"), randomBytes(3_000_000)]);
      const client = await open();
      if (start.length > 1) client.send(start);
      if (start.length > 1) await new Promise((resolve) => setTimeout(resolve, 20));
      client.socket.end(start.length > 1 ? up.subarray(start.length) : up);
      await until(() => upstream.sockets.at(-1)?.readableEnded === true);
      assert.equal(got.digest("hex"), sum(up), JSON.stringify(start));
      await settle();
    }
  });

  it("is closed when it is silent for too long, sooner when one side has ended", async () => {
    for (const timeouts of [{ tunnelIdleMs: 300 }, { halfCloseMs: 300 }]) {
      const { lab, upstream, open, settle } = await capturedLab(echo, { config: { timeouts } });
      const client = await open();
      client.send("\0!");
      await client.until("<\0!>");
      if ("halfCloseMs" in timeouts) client.socket.end();
      await client.untilEnd();
      await until(() => upstream.sockets[0]?.destroyed === true || lab.facts.length === 1);
      await settle();
    }
  });

  it("is refused where the service has no such port", async () => {
    const { lab, upstream, goTo, open } = await capturedLab(answering(OK));
    const ports = [{ name: "", port: 80 }] as const;
    lab.services({ ...service("db", [endpoint(upstream.port)], { addresses: [VIP] }), ports });
    goTo({ host: VIP, port: 81 });
    assert.equal(await refusal(open), "");
    goTo({ host: VIP, port: 80 });
    const good = await open();
    good.send(GET);
    await good.until(/ok$/);
    assert.equal(upstream.received.join("").split("GET /").length, 2);
    good.close();
    await until(() => lab.plane.stats().connections === 0);
  });

  it("is refused where it leads back to the proxy", async () => {
    const { lab, goTo, open, settle } = await capturedLab(answering(OK));
    goTo({ host: "127.0.0.1", port: lab.port });
    assert.equal(await refusal(open), "");
    await settle();
  });

  it("is refused where its destination cannot be told, and others are not", async () => {
    let isBroken = true;
    const upstream = await rawServer(answering(OK));
    const lab = await planeLab({
      destination: {
        of: () => {
          if (isBroken) throw new Error("getsockopt failed");
          return { host: VIP, port: 80 };
        },
      },
    });
    lab.services(service("db", [endpoint(upstream.port)], { addresses: [VIP] }));
    closers.push(
      () => lab.close(),
      () => upstream.close(),
    );
    assert.equal(await refusal(() => RawClient.open(lab.port)), "");
    isBroken = false;
    const client = await RawClient.open(lab.port);
    client.send(GET);
    await client.until(/ok$/);
    client.close();
    await until(() => lab.plane.stats().connections === 0);
  });

  it("of the capture probe is answered, and may break off as it likes", async () => {
    const { lab, goTo, open, settle } = await capturedLab(answering(OK));
    goTo({ host: "198.19.255.254", port: 1 });
    const probe = await open();
    assert.equal(await probe.untilEnd(), "hostmesh-probe\n");
    for (let index = 0; index < 50; index += 1) {
      const client = await open();
      client.socket.resetAndDestroy();
    }
    assert.equal(lab.plane.stats().connections, 0);
    await settle();
  });

  it("that breaks while it is being judged leaves nothing behind", async () => {
    const { lab, open, settle } = await capturedLab(() => undefined);
    for (const bytes of ["", "G", "GET / HTTP/1.1\r\n", "\0"]) {
      for (const how of ["reset", "close"] as const) {
        const client = await open();
        if (bytes !== "") client.send(bytes);
        await new Promise(setImmediate);
        if (how === "reset") client.socket.resetAndDestroy();
        else client.close();
      }
    }
    await until(() => lab.plane.stats().connections === 0);
    await settle();
  });
});
