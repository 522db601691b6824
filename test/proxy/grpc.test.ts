import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http2";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { compressionAlgorithms, Metadata, status } from "@grpc/grpc-js";
import { type GrpcLabOptions, grpcLab } from "../helpers/grpc-lab.ts";
import { ended, type GrpcHandlers, metadataOf, sendAll } from "../helpers/grpc-peers.ts";
import { Http2Client, peer } from "../helpers/h2-peers.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

/** Answers each message with itself; what it collects it joins, what it expands it cuts into parts of 1 KiB. */
const ECHO: GrpcHandlers = {
  unary(call, done) {
    const metadata = new Metadata();
    for (const name of ["x-word", "x-bytes-bin"]) {
      for (const value of call.metadata.get(name)) metadata.add(name, value);
    }
    call.sendMetadata(metadata);
    done(null, call.request, metadataOf({ "x-end": "last", "x-end-bin": Buffer.from([0, 255]) }));
  },
  collect(call, done) {
    const parts: Buffer[] = [];
    call.on("data", (part: Buffer) => parts.push(part));
    call.on("end", () => done(null, Buffer.concat(parts)));
  },
  expand(call) {
    for (let at = 0; at < call.request.length; at += 1_024) {
      call.write(call.request.subarray(at, at + 1_024));
    }
    call.end(metadataOf({ "x-end": "last" }));
  },
  chat(call) {
    call.on("data", (part: Buffer) => call.write(part));
    call.on("end", () => call.end());
  },
};

const WAYS: readonly [name: string, options: GrpcLabOptions][] = [
  ["declared", { protocol: "grpc" }],
  ["not declared", {}],
];

for (const [name, options] of WAYS) {
  describe(`calls of gRPC to a service whose protocol is ${name}`, () => {
    it("have one message each way, of any size up to 4 MiB", async (t) => {
      const { client, lab } = await grpcLab(t, [ECHO], options);
      const sizes = [0, 1, 5, 1_024, 16_379, 16_384, 65_536, 1_048_576, 4_194_304];
      for (const size of sizes) {
        const message = randomBytes(size);
        const { code, messages } = await client.unary(message);
        assert.equal(code, status.OK, `${size} bytes`);
        assert.ok(messages[0]?.equals(message), `${size} bytes`);
      }
      await until(() => lab.facts.length === sizes.length);
      assert.ok(lab.facts.every((one) => one.status === 200 && one.grpcStatus === 0));
    });

    it("have many messages there, back, and both ways, which are counted", async (t) => {
      const { client, lab } = await grpcLab(t, [ECHO], options);
      const parts = Array.from({ length: 200 }, (_, at) => randomBytes((at * 97) % 3_000));
      const collected = await client.collect(parts);
      assert.equal(collected.code, status.OK);
      assert.ok(collected.messages[0]?.equals(Buffer.concat(parts)));
      const long = randomBytes(300_000);
      const expanded = await client.expand(long);
      assert.ok(Buffer.concat(expanded.messages).equals(long));
      assert.deepEqual(expanded.trailers.get("x-end"), ["last"]);
      const call = client.chat();
      const chatted = ended(call);
      sendAll(call, parts);
      const { code, messages } = await chatted;
      assert.equal(code, status.OK);
      assert.deepEqual(messages, parts);
      await until(() => lab.facts.length === 3);
      assert.deepEqual(
        lab.facts.map((one) => [one.requestMessages, one.responseMessages]),
        [
          [200, 1],
          [1, 293],
          [200, 200],
        ],
      );
    });

    it("have messages that go back and forth one at a time", async (t) => {
      const { client } = await grpcLab(t, [ECHO], options);
      const call = client.chat();
      const whole = ended(call);
      for (let at = 0; at < 20; at++) {
        const back = new Promise<Buffer>((resolve) => call.once("data", resolve));
        call.write(Buffer.from([at]));
        assert.deepEqual(await back, Buffer.from([at]));
      }
      call.end();
      assert.equal((await whole).code, status.OK);
    });

    it("carry metadata both ways and trailers, as text and as bytes", async (t) => {
      const { client } = await grpcLab(t, [ECHO], options);
      const raw = [Buffer.from([0, 1, 2, 255]), Buffer.from("more")];
      const sent = { "x-word": ["one", "two"], "x-bytes-bin": raw };
      const { metadata, trailers } = await client.unary("", { metadata: sent });
      assert.deepEqual(metadata?.get("x-word").join(", "), "one, two");
      assert.deepEqual(metadata?.get("x-bytes-bin"), raw);
      assert.deepEqual(trailers.get("x-end"), ["last"]);
      assert.deepEqual(trailers.get("x-end-bin"), [Buffer.from([0, 255])]);
    });

    it("may fail without a message, or behind some", async (t) => {
      const failing: GrpcHandlers = {
        unary: (_call, done) =>
          done({
            ...{ code: status.FAILED_PRECONDITION, details: "naïve 100% \n☺" },
            metadata: metadataOf({ "x-why": "so" }),
          }),
        expand(call) {
          call.write(Buffer.from("first"));
          call.emit("error", { code: status.DATA_LOSS, details: "lost" });
        },
      };
      const { client, lab } = await grpcLab(t, [failing], options);
      const only = await client.unary("x");
      assert.deepEqual(
        [only.code, only.details, only.messages, only.trailers.get("x-why")],
        [status.FAILED_PRECONDITION, "naïve 100% \n☺", [], ["so"]],
      );
      const behind = await client.expand(Buffer.from("x"));
      assert.deepEqual([behind.code, behind.details], [status.DATA_LOSS, "lost"]);
      assert.equal(behind.messages.length, 1);
      await until(() => lab.facts.length === 2);
      const seen = lab.facts.map((one) => [one.status, one.grpcStatus]);
      assert.deepEqual(seen, [
        [200, status.FAILED_PRECONDITION],
        [200, status.DATA_LOSS],
      ]);
    });

    it("may be compressed, by a client that does that", async (t) => {
      const { client } = await grpcLab(t, [ECHO], {
        ...options,
        client: { "grpc.default_compression_algorithm": compressionAlgorithms.gzip },
      });
      const message = Buffer.alloc(500_000, "squeeze");
      const { code, messages } = await client.unary(message);
      assert.equal(code, status.OK);
      assert.ok(messages[0]?.equals(message));
    });

    it("are cancelled at the server where their client cancels them", async (t) => {
      const cancelled: string[] = [];
      const waiting: GrpcHandlers = {
        unary: (call) => void call.on("cancelled", () => cancelled.push("unary")),
        collect: (call) => void call.on("cancelled", () => cancelled.push("collect")),
        expand(call) {
          call.on("cancelled", () => cancelled.push("expand"));
          call.write(Buffer.from("first"));
        },
        chat(call) {
          call.on("cancelled", () => cancelled.push("chat"));
          call.on("data", (part: Buffer) => call.write(part));
        },
      };
      const { client, lab, servers } = await grpcLab(t, [waiting], options);
      const one = client.expanding(Buffer.alloc(0));
      const other = client.chat();
      const both = Promise.all([ended(one), ended(other)]);
      one.once("data", () => one.cancel());
      other.write(Buffer.from("hello"));
      other.once("data", () => other.cancel());
      const codes = (await both).map(({ code }) => code);
      assert.deepEqual(codes, [status.CANCELLED, status.CANCELLED]);
      const silent = client.chat({ metadata: { "x-silent": "1" } });
      const third = ended(silent);
      await until(() => servers[0]?.calls() === 3);
      silent.cancel();
      assert.equal((await third).code, status.CANCELLED);
      await until(() => cancelled.length === 3);
      await until(() => lab.facts.length === 3);
      assert.ok(lab.facts.every(({ error }) => error === "CLIENT_CLOSED"));
    });
  });
}

it("messages of gRPC pass as they are, compressed or not", async (t) => {
  const bodies: Buffer[] = [];
  let fields: IncomingHttpHeaders = {};
  const server = await peer(2, (request, response) => {
    fields = request.headers;
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      bodies.push(Buffer.concat(parts));
      response.setHeader("content-type", "application/grpc+proto");
      response.setHeader("grpc-encoding", "gzip");
      response.write(Buffer.concat(parts));
      response.addTrailers({ "grpc-status": "0" });
      response.end();
    });
  });
  const lab = await planeLab();
  lab.services(service("web", [endpoint(server.port)], { protocol: "grpc" }));
  const client = new Http2Client(lab.port);
  t.after(async () => {
    client.close();
    await server.close();
    await lab.close();
  });
  const packed = gzipSync(Buffer.alloc(100_000, "squeeze"));
  const head = Buffer.from([1, 0, 0, 0, 0]);
  head.writeUInt32BE(packed.length, 1);
  const sent = Buffer.concat([head, packed]);
  const got = await client.ask(
    {
      ...{ ":path": "/a.B/c", ":method": "POST", ":authority": "web", te: "trailers" },
      ...{ "content-type": "application/grpc+proto", "grpc-encoding": "gzip" },
      "grpc-accept-encoding": "identity,deflate,gzip",
    },
    [sent],
  );
  assert.ok(bodies[0]?.equals(sent));
  assert.ok(got.body.equals(sent));
  const { te } = fields;
  assert.deepEqual(
    [te, fields["grpc-encoding"], fields["grpc-accept-encoding"], fields["content-type"]],
    ["trailers", "gzip", "identity,deflate,gzip", "application/grpc+proto"],
  );
  assert.equal(got.headers["grpc-encoding"], "gzip");
  assert.equal(got.headers["content-type"], "application/grpc+proto");
  assert.equal(got.trailers["grpc-status"], "0");
});
