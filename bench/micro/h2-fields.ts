import { parseRequestHead } from "../../src/http/h1/parser.ts";
import { checkRequestFields, checkResponseFields } from "../../src/http/h2/field-rules.ts";
import { requestFieldsOf } from "../../src/http/h2/request-fields.ts";
import { requestHeadOf } from "../../src/http/h2/request-head.ts";
import { responseFieldsOf } from "../../src/http/h2/response-fields.ts";
import { responseHeadOf } from "../../src/http/h2/response-head.ts";
import { spread } from "../lib/statistics.ts";
import { figureLines, parseOptions } from "./options.ts";

/**
 * CPU time of translating one ordinary head between HTTP/2 and HTTP/1.1, without sockets and without HPACK. The strings
 * are as new to each step as they are on the data path: a list has names, and values that the client repeats, out of
 * HPACK's tables, and the others cut out of a buffer; a text is the joined string that the spine makes.
 */
const USAGE = `node bench/micro/h2-fields.ts [options]

  --points N,N,...  fields that each head has besides (default 0,8)
  --rounds N        rounds, of which the median counts (default 15)
  --requests N      heads of a step in a round (default 50000)

  parse      the HTTP/1.1 parser alone, for comparison
  check      checkRequestFields
  head       checkRequestFields and requestHeadOf
  fields     requestFieldsOf, each text with ids of its own: its begin is known
  new        requestFieldsOf, each text with a path of its own: nothing is known
  r-check    checkResponseFields
  r-head     checkResponseFields and responseHeadOf
  r-fields   responseFieldsOf, the text of the response before
  r-new      responseFieldsOf, each text with a date of its own`;

const DEFAULTS = { points: "0,8", rounds: "15", requests: "50000" };
const WARM_ROUNDS = 3;
/** Heads repeat after this many. */
const ORDER = 512;
const LIMITS = { headerCount: 100 };

interface Step {
  readonly name: string;
  readonly run: (index: number) => number;
  readonly nanos: number[];
}

const REQUEST = [
  "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  "accept: application/json, text/plain, */*",
  "accept-encoding: gzip, deflate, br",
  "accept-language: en-US,en;q=0.5",
  "content-type: application/json",
  "content-length: 72",
  "authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789",
];
const RESPONSE = [
  "content-type: application/json; charset=utf-8",
  "content-length: 1345",
  "cache-control: no-cache, no-store",
  'etag: W/"541-9dXYzTq"',
  "server: envoy",
  "vary: accept-encoding",
];

const fresh = (text: string) => Buffer.from(text, "latin1").toString("latin1");
const hex = (index: number, length: number) => index.toString(16).padStart(length, "0");
const more = (count: number) =>
  Array.from({ length: count }, (_, at) => `x-custom-field-${at}: some value ${at}`);

/** Lines that differ from request to request. */
function idLines(index: number): string[] {
  const trace = `00-${hex(index, 32)}-${hex(index, 16)}-01`;
  return [`x-request-id: ${hex(index, 8)}-1111-4222-8333-123456789abc`, `traceparent: ${trace}`];
}

const pair = (line: string) => line.split(": ", 2);

function requestLists(count: number): string[][] {
  const repeated = [...REQUEST, ...more(count)].flatMap(pair);
  return Array.from({ length: ORDER }, (_, index) => [
    ...[":method", "POST", ":scheme", "http", ":authority", "catalog.default:8080"],
    ...[":path", fresh(`/api/v1/orders/${index}`)],
    ...repeated,
    ...idLines(index).flatMap((line) =>
      pair(line).map((text, at) => (at === 1 ? fresh(text) : text)),
    ),
  ]);
}

function requestStart(count: number): string {
  const start = ["POST /api/v1/orders/1 HTTP/1.1", "Host: catalog.default:8080"];
  const hop = ["X-Forwarded-For: 10.1.2.3", "X-Forwarded-Proto: http", "Via: 1.1 hostmesh"];
  return `${[...start, ...REQUEST, ...more(count), ...hop].join("\r\n")}\r\n`;
}

const date = (index: number) => `date: Fri, 20 Nov 2026 12:00:${hex(index % 60, 2)} GMT`;

function stepsOf(count: number): Step[] {
  const lists = requestLists(count);
  const texts = lists.map((_, index) =>
    fresh(`${requestStart(count)}${idLines(index).join("\r\n")}\r\n\r\n`),
  );
  const start = fresh(requestStart(count));
  const rest = start.slice(start.indexOf(" HTTP"));
  const begins = lists.map((_, index) => fresh(`POST /api/v1/orders/${hex(index, 4)}`));
  const ids = lists.map((_, index) => fresh(`${idLines(index).join("\r\n")}\r\n`));
  const responseLines = [...RESPONSE, ...more(count)];
  const responses = lists.map((_, index) => [
    ...[":status", "200"],
    ...responseLines.flatMap(pair),
    ...["date", fresh(date(index).slice(6))],
  ]);
  const passed = fresh(`HTTP/1.1 200 OK\r\n${responseLines.join("\r\n")}\r\n`);
  const dates = lists.map((_, index) => fresh(`${date(index)}\r\n`));
  const rules = { connectProtocol: true };
  const steps: Record<string, (index: number) => number> = {
    parse: (index) => parseRequestHead(texts[index]!, LIMITS).bytes,
    check: (index) => (checkRequestFields(lists[index]!, rules) === null ? 1 : 0),
    head: (index) => {
      checkRequestFields(lists[index]!, rules);
      return requestHeadOf(lists[index]!, false).bytes;
    },
    fields: (index) => requestFieldsOf(`${start}${ids[index]!}\r\n`, "http").length,
    new: (index) => requestFieldsOf(`${begins[index]!}${rest}${ids[index]!}\r\n`, "http").length,
    "r-check": (index) => (checkResponseFields(responses[index]!) === null ? 1 : 0),
    "r-head": (index) => {
      checkResponseFields(responses[index]!);
      return responseHeadOf(responses[index]!, "GET", false).bytes;
    },
    "r-fields": () => responseFieldsOf(`${passed}\r\n`).length,
    "r-new": (index) =>
      responseFieldsOf(`${passed}${dates[index]!}Via: 1.1 hostmesh\r\n\r\n`).length,
  };
  return Object.entries(steps).map(([name, run]) => ({ name, run, nanos: [] }));
}

/** CPU time per head in nanoseconds. */
function time(step: Step, requests: number): number {
  const before = process.threadCpuUsage();
  let wrong = 0;
  for (let index = 0; index < requests; index++) if (step.run(index % ORDER) === 0) wrong++;
  const { user, system } = process.threadCpuUsage(before);
  if (wrong > 0) throw new Error(`${step.name}: ${wrong} of ${requests} were refused`);
  return ((user + system) * 1_000) / requests;
}

if (process.argv.includes("--help")) console.log(USAGE);
else {
  const { points, rounds, requests } = parseOptions(process.argv.slice(2), DEFAULTS, /^\d+$/);
  const all = points.map((count) => ({ count, steps: stepsOf(count) }));
  for (let round = -WARM_ROUNDS; round < rounds; round++) {
    for (const step of all.flatMap(({ steps }) => steps)) {
      const nanos = time(step, requests);
      if (round >= 0) step.nanos.push(nanos);
    }
  }
  const titles = all[0]?.steps.map(({ name }) => `${name} ns (max)`) ?? [];
  const rows = all.map(({ count, steps }) => {
    const cells = steps.map(({ nanos }) => {
      const { median, max } = spread(nanos);
      return `${median.toFixed(0)} (${max.toFixed(0)})`;
    });
    return [String(count), ...cells];
  });
  for (const line of figureLines(["more fields", ...titles], rows)) console.log(line);
}
