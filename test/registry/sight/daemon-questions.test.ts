import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnswerPart, ServerMessage } from "../../../src/registry/protocol.ts";
import { DaemonQuestions } from "../../../src/registry/sight/daemon-questions.ts";
import { MAX_ANSWER_BYTES, MAX_OPEN_QUESTIONS } from "../../../src/sight/question.ts";
import { FakeTime } from "../fake-time.ts";

const REPORT = { kind: "report" } as const;
const TAP = { kind: "tap", filter: {}, limits: { perSecond: 100, durationMs: 1_000 } } as const;

function setUp() {
  const time = new FakeTime();
  const sent: ServerMessage[] = [];
  const questions = new DaemonQuestions((message) => sent.push(message), time);
  const ended = () => sent.flatMap((message) => (message.type === "ask-end" ? [message.id] : []));
  return { time, sent, questions, ended };
}

function part(id: number, more: Partial<AnswerPart> = {}): AnswerPart {
  return { type: "answer", id, part: 0, last: true, body: "{}", ...more };
}

test("an answer is put together from its parts, beside another one", async () => {
  const { questions, sent, time } = setUp();
  const first = questions.ask(REPORT, 1_000);
  const second = questions.ask(REPORT, 1_000);
  assert.deepEqual(sent, [
    { type: "ask", id: 1, question: REPORT },
    { type: "ask", id: 2, question: REPORT },
  ]);
  questions.take(part(1, { body: '{"a":', last: false }));
  questions.take(part(2, { body: "[2]" }));
  questions.take(part(1, { body: "1}", part: 1 }));
  assert.deepEqual([await first, await second], [{ a: 1 }, [2]]);
  assert.equal(time.pending(), 0);
});

test("who waits too long is told so, the daemon is told to stop, and its late answer does no harm", async () => {
  const { questions, time, ended } = setUp();
  const asked = questions.ask(REPORT, 1_000);
  questions.take(part(1, { last: false, body: "[" }));
  time.advance(1_000);
  await assert.rejects(asked, { status: 504 });
  assert.deepEqual(ended(), [1]);
  questions.take(part(1, { part: 1, body: "]" }));
  assert.throws(() => questions.take(part(1)), /was not asked/, "it was answered to the end");
});

test("the daemon's own reason, and its end, reach whoever asked", async () => {
  const { questions } = setUp();
  const refused = questions.ask(REPORT, 1_000);
  const { body: _, ...failure } = part(1, { error: "unknown question" });
  questions.take(failure);
  await assert.rejects(refused, { status: 502, message: "unknown question" });
  const wrong = questions.ask(REPORT, 1_000);
  const { body: _none, ...blame } = part(2, { error: "no method GE T", status: 400 });
  questions.take(blame);
  await assert.rejects(wrong, { status: 400, message: "no method GE T" });
  const lost = questions.ask(REPORT, 1_000);
  let tapEnd = "";
  questions.stream(
    TAP,
    () => undefined,
    (reason) => {
      tapEnd = reason?.message ?? "none";
    },
  );
  questions.close("the daemon is gone");
  await assert.rejects(lost, { status: 503 });
  assert.equal(tapEnd, "the daemon is gone");
  await assert.rejects(questions.ask(REPORT, 1_000), { status: 503 });
});

test("a stream has many answers, until either side ends it", () => {
  const { questions, ended } = setUp();
  const seen: unknown[] = [];
  const ends: unknown[] = [];
  const end = questions.stream(
    TAP,
    (value) => seen.push(value),
    (reason) => ends.push(reason),
  );
  questions.take(part(1, { body: "[1]", more: true }));
  questions.take(part(1, { body: "[", last: false }));
  questions.take(part(1, { body: "2]", part: 1, more: true }));
  end();
  end();
  assert.deepEqual(ended(), [1]);
  questions.take(part(1, { body: "[3]", more: true }));
  assert.deepEqual([seen, ends], [[[1], [2]], []]);
  questions.stream(
    TAP,
    (value) => seen.push(value),
    (reason) => ends.push(reason),
  );
  questions.take(part(2, { body: "[4]" }));
  assert.deepEqual([seen.at(-1), ends], [[4], [null]]);
});

test("so many questions may be open and no more; a daemon that stays silent is asked again all the same", async () => {
  const { questions, time } = setUp();
  const all = Array.from({ length: MAX_OPEN_QUESTIONS }, () => questions.ask(REPORT, 1_000));
  await assert.rejects(questions.ask(REPORT, 1_000), { status: 503 });
  time.advance(1_000);
  for (const asked of await Promise.allSettled(all)) assert.equal(asked.status, "rejected");
  for (let round = 0; round < 100; round++) {
    const asked = questions.ask(REPORT, 10);
    time.advance(10);
    await assert.rejects(asked, { status: 504 });
  }
  const last = questions.ask(REPORT, 10);
  questions.take(part(MAX_OPEN_QUESTIONS + 101, { body: "7" }));
  assert.equal(await last, 7);
});

test("what is no answer to what was asked breaks the protocol", () => {
  const { questions } = setUp();
  assert.throws(() => questions.take(part(1)), /was not asked/);
  void questions.ask(REPORT, 1_000).catch(() => undefined);
  assert.throws(() => questions.take(part(1, { part: 1 })), /missing/);
  assert.throws(() => questions.take({ type: "answer", id: 1, part: 0, last: true }), /missing/);
  assert.throws(() => questions.take(part(1, { more: true })), /more than one/);
  void questions.ask(REPORT, 1_000).catch(() => undefined);
  assert.throws(() => questions.take(part(2, { body: "{" })), SyntaxError);
});

test("an answer beyond the limit is not collected", () => {
  const { questions } = setUp();
  void questions.ask(REPORT, 1_000).catch(() => undefined);
  const body = " ".repeat(1_048_576);
  const parts = MAX_ANSWER_BYTES / body.length;
  for (let index = 0; index < parts; index++) {
    questions.take(part(1, { part: index, last: false, body }));
  }
  assert.throws(() => questions.take(part(1, { part: parts, last: false, body })), /too large/);
});
