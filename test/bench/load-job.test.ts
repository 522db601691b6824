import assert from "node:assert/strict";
import { test } from "node:test";
import { BenchError } from "../../bench/lib/bench-error.ts";
import { isOneAddress, parseLoadJob } from "../../bench/load/job.ts";
import { Requests } from "../../bench/load/requests.ts";
import type { LoadJob, Target } from "../../bench/model.ts";

const target = (at: number, port: number): Target => ({
  ...{ host: "127.0.0.1", port, authority: `web-${at}`, connect: false },
});

const JOB: LoadJob = {
  ...{ protocol: "http1", targets: [target(0, 80), target(1, 80)], connections: 4, bodyBytes: 115 },
  ...{ rate: null, seconds: 1, warmUpSeconds: 0, vary: false },
};

test("a job is read as it was written", () => {
  assert.deepEqual(parseLoadJob(JSON.stringify(JOB)), JOB);
  const first = { ...JOB, rate: 2_000, firstRequests: 1_000 };
  assert.deepEqual(parseLoadJob(JSON.stringify(first)), first);
});

test("a job that cannot be is refused with its reason", () => {
  const refused: [object, RegExp][] = [
    [{ connections: 0 }, /connections/],
    [{ rate: 0 }, /rate/],
    [{ bodyBytes: 1e12 }, /bodyBytes/],
    [{ targets: [] }, /targets/],
    [{ targets: [{ ...target(0, 80), authority: "a\r\nb" }] }, /authority/],
    [{ unknown: 1 }, /unknown/i],
    [{ connections: 1, targets: [target(0, 80), target(1, 81)] }, /2 addresses need/],
    [{ protocol: "tcp", bodyBytes: 0 }, /0 bytes/],
  ];
  for (const [change, message] of refused) {
    const text = JSON.stringify({ ...JOB, ...change });
    assert.throws(() => parseLoadJob(text), message, text);
    assert.throws(() => parseLoadJob(text), BenchError);
  }
});

test("connections serve all services only behind one address of a proxy that reads requests", () => {
  assert.equal(isOneAddress(JOB), true);
  assert.equal(isOneAddress({ ...JOB, protocol: "tcp" }), false);
  assert.equal(isOneAddress({ ...JOB, targets: [target(0, 80), target(1, 81)] }), false);
});

test("requests go to every service in turn, or to the one that is asked for", () => {
  const requests = new Requests(JOB);
  const hosts = [null, null, null, 1, 1].map((one) => /web-\d/.exec(requests.next(one))?.[0]);
  assert.deepEqual(hosts, ["web-0", "web-1", "web-0", "web-1", "web-1"]);
  assert.equal(requests.next(0), "GET /115 HTTP/1.1\r\nHost: web-0\r\n\r\n");
  assert.equal(new Requests({ ...JOB, protocol: "tcp" }).next(1), "115\n");
});

test("varied requests are all different, in path and in a field", () => {
  const requests = new Requests({ ...JOB, vary: true });
  const texts = Array.from({ length: 100 }, () => requests.next(null));
  const paths = texts.map((text) => text.split(" ")[1]);
  const fields = texts.map((text) => /X-Load-Id: .*/.exec(text)?.[0]);
  for (const list of [paths, fields]) assert.equal(new Set(list).size, 100);
  assert.ok(paths.every((path) => path?.startsWith("/115?")));
});
