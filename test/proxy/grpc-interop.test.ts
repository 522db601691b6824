import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Metadata, type ServerErrorResponse, status } from "@grpc/grpc-js";
import type { AppProtocol } from "../../src/core/model.ts";
import { grpcLab } from "../helpers/grpc-lab.ts";
import { ended, type GrpcClient, type GrpcHandlers, type Outcome } from "../helpers/grpc-peers.ts";
import { until } from "../helpers/until.ts";

/*
 * The official test cases of gRPC (grpc/grpc, doc/interop-test-descriptions.md) by their names, as far as they need no
 * credentials of a cloud. Messages are JSON in place of protocol buffers, with the fields of the official ones, and the
 * service is the test's own: neither is seen by a proxy.
 */

/** `SimpleRequest`, `StreamingOutputCallRequest`: sizes of what is wanted back, and a status in place of it. */
interface Ask {
  readonly sizes?: readonly number[];
  readonly payload?: string;
  readonly status?: { readonly code: number; readonly message: string };
}

const INITIAL = "x-grpc-test-echo-initial";
const TRAILING = "x-grpc-test-echo-trailing-bin";
const SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

const bytesOf = (ask: Ask): Buffer => Buffer.from(JSON.stringify(ask));
const asked = (message: Buffer): Ask => JSON.parse(message.toString()) as Ask;
const zeros = (size: number): string => "\0".repeat(size);

/** What the official server sends back of a call's metadata. */
function echoOf(metadata: Metadata): { initial: Metadata; trailing: Metadata } {
  const initial = new Metadata();
  const trailing = new Metadata();
  for (const value of metadata.get(INITIAL)) initial.add(INITIAL, value);
  for (const value of metadata.get(TRAILING)) trailing.add(TRAILING, value);
  return { initial, trailing };
}

function errorOf({ code, message }: NonNullable<Ask["status"]>): ServerErrorResponse {
  return { ...new Error(message), name: "", message, code, details: message };
}

/** The official server's behaviour. */
const SERVER: GrpcHandlers = {
  unary(call, done) {
    const { initial, trailing } = echoOf(call.metadata);
    call.sendMetadata(initial);
    if (call.request.length === 0) {
      done(null, Buffer.alloc(0), trailing);
      return;
    }
    const { sizes: [size = 0] = [], status: wanted } = asked(call.request);
    if (wanted === undefined) done(null, Buffer.alloc(size), trailing);
    else done(errorOf(wanted));
  },
  collect(call, done) {
    let total = 0;
    call.on("data", (part: Buffer) => {
      total += asked(part).payload?.length ?? 0;
    });
    call.on("end", () => done(null, Buffer.from(String(total))));
    call.on("error", () => undefined);
  },
  expand(call) {
    for (const size of asked(call.request).sizes ?? []) call.write(Buffer.alloc(size));
    call.end();
  },
  chat(call) {
    const { initial, trailing } = echoOf(call.metadata);
    call.sendMetadata(initial);
    call.on("data", (part: Buffer) => {
      const { sizes = [], status: wanted } = asked(part);
      if (wanted !== undefined) {
        call.emit("error", errorOf(wanted));
        return;
      }
      for (const size of sizes) call.write(Buffer.alloc(size));
    });
    call.on("end", () => call.end(trailing));
    call.on("error", () => undefined);
  },
};

const sizesOf = ({ messages }: Outcome): number[] => messages.map(({ length }) => length);

/** A call of both ways in which each message waits for the answers to the one before. */
async function pingPong(client: GrpcClient, rounds: readonly (readonly [number, number])[]) {
  const call = client.chat();
  const whole = ended(call);
  let got = 0;
  call.on("data", () => {
    got += 1;
  });
  for (const [at, [size, payload]] of rounds.entries()) {
    call.write(bytesOf({ sizes: [size], payload: zeros(payload) }));
    await until(() => got === at + 1);
  }
  return { call, whole };
}

const ROUNDS = [
  [31_415, 27_182],
  [9, 8],
  [2_653, 1_828],
  [58_979, 45_904],
] as const;
const PAYLOADS = [27_182, 8, 1_828, 45_904];

const CASES: Readonly<Record<string, (client: GrpcClient) => Promise<void>>> = {
  async empty_unary(client) {
    const got = await client.unary("");
    assert.deepEqual([got.code, sizesOf(got)], [status.OK, [0]]);
  },

  async large_unary(client) {
    const got = await client.unary(bytesOf({ sizes: [314_159], payload: zeros(271_828) }));
    assert.deepEqual([got.code, sizesOf(got)], [status.OK, [314_159]]);
    assert.ok(got.messages[0]?.equals(Buffer.alloc(314_159)));
  },

  async client_streaming(client) {
    const got = await client.collect(PAYLOADS.map((size) => bytesOf({ payload: zeros(size) })));
    assert.deepEqual([got.code, got.messages.join()], [status.OK, "74922"]);
  },

  async server_streaming(client) {
    const got = await client.expand(bytesOf({ sizes: [31_415, 9, 2_653, 58_979] }));
    assert.deepEqual([got.code, sizesOf(got)], [status.OK, [31_415, 9, 2_653, 58_979]]);
  },

  async ping_pong(client) {
    const { call, whole } = await pingPong(client, ROUNDS);
    call.end();
    const got = await whole;
    assert.deepEqual([got.code, sizesOf(got)], [status.OK, [31_415, 9, 2_653, 58_979]]);
  },

  async empty_stream(client) {
    const call = client.chat();
    const whole = ended(call);
    call.end();
    const got = await whole;
    assert.deepEqual([got.code, got.messages], [status.OK, []]);
  },

  async cancel_after_begin(client) {
    const call = client.client.makeClientStreamRequest(
      ...(["/hostmesh.test.Echo/collect", (one: Buffer) => one, (one: Buffer) => one] as const),
      ...[() => undefined],
    );
    const code = new Promise((resolve) => call.on("status", (got) => resolve(got.code)));
    call.cancel();
    assert.equal(await code, status.CANCELLED);
  },

  async cancel_after_first_response(client) {
    const { call, whole } = await pingPong(client, [[31_415, 27_182]]);
    call.cancel();
    assert.equal((await whole).code, status.CANCELLED);
  },

  async timeout_on_sleeping_server(client) {
    const call = client.chat({ deadline: Date.now() + 1 });
    const whole = ended(call);
    call.write(bytesOf({ payload: zeros(27_182) }));
    assert.equal((await whole).code, status.DEADLINE_EXCEEDED);
  },

  async custom_metadata(client) {
    const bytes = Buffer.from([0xab, 0xab, 0xab]);
    const metadata = { [INITIAL]: "test_initial_metadata_value", [TRAILING]: bytes };
    const check = ({ code, metadata: initial, trailers }: Outcome): void => {
      assert.equal(code, status.OK);
      assert.deepEqual(initial?.get(INITIAL), ["test_initial_metadata_value"]);
      assert.deepEqual(trailers.get(TRAILING), [bytes]);
    };
    const ask = bytesOf({ sizes: [314_159], payload: zeros(271_828) });
    check(await client.unary(ask, { metadata }));
    const call = client.chat({ metadata });
    const whole = ended(call);
    call.end(ask);
    check(await whole);
  },

  async status_code_and_message(client) {
    const wanted = { code: status.UNKNOWN, message: "test status message" };
    const one = await client.unary(bytesOf({ status: wanted }));
    assert.deepEqual([one.code, one.details], [wanted.code, wanted.message]);
    const call = client.chat();
    const whole = ended(call);
    call.end(bytesOf({ status: wanted }));
    const both = await whole;
    assert.deepEqual([both.code, both.details], [wanted.code, wanted.message]);
  },

  async special_status_message(client) {
    const got = await client.unary(bytesOf({ status: { code: status.UNKNOWN, message: SPECIAL } }));
    assert.deepEqual([got.code, got.details], [status.UNKNOWN, SPECIAL]);
  },

  async unimplemented_method(client) {
    const got = await client.unary("", {}, "/hostmesh.test.Echo/UnimplementedCall");
    assert.equal(got.code, status.UNIMPLEMENTED);
  },

  async unimplemented_service(client) {
    const got = await client.unary("", {}, "/hostmesh.test.Unimplemented/UnimplementedCall");
    assert.equal(got.code, status.UNIMPLEMENTED);
  },
};

for (const [name, protocol] of [
  ["declared as grpc", "grpc"],
  ["not declared", undefined],
] as const satisfies readonly (readonly [string, AppProtocol | undefined])[]) {
  describe(`gRPC's interoperability tests, with a service that is ${name}:`, () => {
    for (const [which, run] of Object.entries(CASES)) {
      it(which, async (t) => {
        const options = protocol === undefined ? {} : { protocol };
        const { client, lab } = await grpcLab(t, [SERVER], options);
        await run(client);
        await until(() => lab.plane.stats().busyUpstream === 0);
      });
    }
  });
}
