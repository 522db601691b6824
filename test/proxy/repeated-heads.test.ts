import assert from "node:assert/strict";
import { it } from "node:test";
import { webLab } from "../helpers/web-lab.ts";

const ROUNDS = 5;
const IDS = /X-Request-Id: \S+\r\nTraceparent: \S+\r\n/;

/** Heads of a text that holds several, without bodies. */
function heads(text: string): string[] {
  return text.match(/(?:GET|POST|HTTP)[^]*?\r\n\r\n/g) ?? [];
}

it("forwards a request that is sent again and again as it did the first time, with new ids", async () => {
  const { upstream, send, settle } = await webLab();
  const request = "GET /a HTTP/1.1\r\nHost: web\r\nX-A: 1\r\nConnection: x-b\r\nX-B: 2\r\n\r\n";
  const client = await send(request);
  for (let round = 1; round < ROUNDS; round++) {
    await client.until(new RegExp(`(ok[^]*){${round}}$`));
    client.send(request);
  }
  await client.until(new RegExp(`(\r\n\r\nok[^]*){${ROUNDS}}$`));
  const sent = heads(upstream.received.join(""));
  assert.equal(sent.length, ROUNDS);
  assert.equal(new Set(sent.map((head) => head.replace(IDS, ""))).size, 1);
  assert.equal(new Set(sent.map((head) => IDS.exec(head)?.[0])).size, ROUNDS);
  assert.match(sent[4] ?? "", /^GET \/a HTTP\/1\.1\r\nHost: web\r\nX-A: 1\r\n(?!.*X-B)/);
  assert.equal(new Set(heads(client.received)).size, 1);
  await settle();
});

it("keeps the bodies of repeated heads apart", async () => {
  const { upstream, send, settle } = await webLab((socket, received) => {
    const body = received.slice(-4);
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\nVia: 1.0 x\r\n\r\n${body}`);
  });
  const client = await send("");
  for (let round = 0; round < ROUNDS; round++) {
    client.send(`POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nno.${round}`);
    await client.until(`\r\n\r\nno.${round}`);
  }
  assert.equal(heads(upstream.received.join("")).length, ROUNDS);
  const answers = new Set(heads(client.received));
  assert.deepEqual(
    [...answers],
    ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\nVia: 1.0 x, 1.1 hostmesh\r\n\r\n"],
  );
  await settle();
});

it("answers a repeated request according to what the client may still do", async () => {
  const { send, settle } = await webLab();
  const request = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
  const client = await send(request.repeat(ROUNDS));
  await client.until(new RegExp(`(\r\n\r\nok[^]*){${ROUNDS}}$`));
  client.send(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  const answers = heads(await client.untilEnd());
  assert.equal(answers.length, ROUNDS + 1);
  assert.doesNotMatch(answers[ROUNDS - 1] ?? "", /Connection/);
  assert.match(answers[ROUNDS] ?? "", /Connection: close\r\n/);
  await settle();
});

it("asks anew for each repeated request that waits for 100", async () => {
  let answered = 0;
  const { upstream, send, settle } = await webLab((socket, received) => {
    if (heads(received).length > answered && received.endsWith("\r\n\r\n")) {
      socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    } else if (received.endsWith("hello")) {
      answered += 1;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nn${answered}`);
    }
  });
  const client = await send("");
  for (let round = 1; round <= ROUNDS; round++) {
    client.send(
      "POST / HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    await client.until(new RegExp(`(100 Continue[^]*){${round}}$`));
    client.send("hello");
    await client.until(`n${round}`);
  }
  assert.equal(upstream.received.join("").split("Expect: 100-continue").length - 1, ROUNDS);
  await settle();
});
