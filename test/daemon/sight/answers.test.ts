import assert from "node:assert/strict";
import { test } from "node:test";
import { LoggingError } from "../../../daemon/logging/log-control.ts";
import { type AnswerHandlers, Answers } from "../../../daemon/sight/answers.ts";
import { TooManyTaps } from "../../../daemon/tap/tap-hub.ts";
import {
  ANSWER_PART_CHARS,
  type AnswerPart,
  clientMessage,
} from "../../../src/registry/protocol.ts";
import { MAX_OPEN_QUESTIONS } from "../../../src/sight/question.ts";
import { until } from "../../helpers/until.ts";
import { FakeTime } from "../../registry/fake-time.ts";
import { memoryLog } from "../fixtures.ts";

function setUp(handlers: AnswerHandlers) {
  const time = new FakeTime();
  const { log, lines } = memoryLog();
  const answers = new Answers(handlers, time, log);
  const sent: AnswerPart[] = [];
  /** Released by hand, as a slow connection would. */
  const held: (() => void)[] = [];
  let holds = false;
  const send = (part: AnswerPart) => {
    assert.deepEqual(clientMessage.parse(part), part);
    assert.ok(JSON.stringify(part).length < 524_288, "a part is small enough for other messages");
    sent.push(part);
    return holds ? new Promise<void>((resolve) => held.push(resolve)) : Promise.resolve();
  };
  const ask = (id: number, kind: string, more = {}) =>
    answers.ask({ type: "ask", id, question: { kind, ...more } }, send);
  const hold = (value: boolean) => {
    holds = value;
    for (const release of held.splice(0)) release();
  };
  return { time, lines, answers, ask, sent, hold };
}

test("an answer is cut into parts that make one text again", async () => {
  // Half of a pair may stand at the end of a part.
  const value = { text: `${"\u{1F600}".repeat(ANSWER_PART_CHARS)}"\\\n` };
  const { ask, sent } = setUp({ report: () => value });
  ask(1, "report");
  await until(() => sent.at(-1)?.last === true);
  assert.equal(sent.length, 3);
  assert.deepEqual(
    sent.map(({ id, part, last, more }) => [id, part, last, more]),
    [
      [1, 0, false, undefined],
      [1, 1, false, undefined],
      [1, 2, true, undefined],
    ],
  );
  const text = sent.map(({ body }) => JSON.parse(JSON.stringify(body))).join("");
  assert.deepEqual(JSON.parse(text), value);
});

test("each part waits until the one before has left, and small answers find their way between them", async () => {
  const { ask, sent, hold } = setUp({
    report: () => "x".repeat(3 * ANSWER_PART_CHARS),
    logging: ({ level }) => level,
  });
  hold(true);
  ask(1, "report");
  await until(() => sent.length === 1);
  ask(2, "logging", { level: "debug" });
  await until(() => sent.length === 2);
  assert.equal(sent[1]?.body, '"debug"');
  hold(false);
  await until(() => sent.filter(({ id }) => id === 1).at(-1)?.last === true);
});

test("what nobody answers, what fails and what takes too long is answered with the reason", async () => {
  const { ask, sent, time, lines } = setUp({
    report: () => {
      throw new Error("no luck");
    },
    config: () => new Promise(() => undefined),
  });
  for (const [index, kind] of ["nonsense", "toString", "constructor", "report"].entries()) {
    ask(index + 1, kind);
  }
  ask(5, "config");
  await until(() => sent.length === 4);
  time.advance(30_000);
  await until(() => sent.length === 5);
  assert.deepEqual(
    sent.map(({ error }) => error),
    [
      ...["unknown question", "unknown question", "unknown question", "no luck"],
      "there is no answer within 30000 ms",
    ],
  );
  assert.equal(lines.length, 5);
});

test("an error says whose fault it is, where it is not the daemon's", async () => {
  const { ask, sent } = setUp({
    explain: () => {
      throw new RangeError("no method");
    },
    logging: () => {
      throw new LoggingError("no level");
    },
    tap: () => {
      throw new TooManyTaps();
    },
    report: () => {
      throw new Error("no luck");
    },
  });
  for (const [index, kind] of ["explain", "logging", "tap", "report"].entries())
    ask(index + 1, kind);
  await until(() => sent.length === 4);
  assert.deepEqual(
    sent.map(({ status }) => status),
    [400, 400, 429, undefined],
  );
});

test("a stream sends until it is ended, and drops what a slow connection cannot take", async () => {
  let taken = 0;
  let dropped = 0;
  let ended: AbortSignal | null = null;
  const { ask, answers, sent, hold, time } = setUp({
    tap: (_, stream) => {
      ended = stream.ended;
      for (let event = 0; event < 50; event++) {
        if (stream.send([event])) taken++;
        else dropped++;
      }
      return new Promise(() => undefined);
    },
  });
  hold(true);
  ask(1, "tap");
  await until(() => sent.length === 1);
  assert.deepEqual([taken, dropped], [16, 34]);
  hold(false);
  await until(() => sent.length === 16);
  assert.ok(sent.every(({ last, more }) => last && more === true));
  time.advance(3_600_000);
  assert.equal((ended as AbortSignal | null)?.aborted, false, "a tap has its own limit");
  answers.end(1);
  assert.equal((ended as AbortSignal | null)?.aborted, true);
});

test("so many questions may be open and no more, and all end with the connection", async () => {
  let open = 0;
  const { ask, answers, sent } = setUp({
    tap: (_, { ended }) => {
      open++;
      ended.addEventListener("abort", () => open--);
      return new Promise(() => undefined);
    },
  });
  for (let id = 1; id <= MAX_OPEN_QUESTIONS; id++) ask(id, "tap");
  await until(() => open === MAX_OPEN_QUESTIONS);
  ask(99, "tap");
  assert.match(sent.at(-1)?.error ?? "", /too many/);
  assert.throws(() => ask(1, "tap"), /open already/);
  answers.endAll();
  assert.equal(open, 0);
});

test("an answer that is too large, or cannot be written, is refused", async () => {
  const ring: Record<string, unknown> = {};
  ring["self"] = ring;
  const { ask, sent } = setUp({ report: () => "x".repeat(33_554_432), config: () => ring });
  ask(1, "report");
  ask(2, "config");
  await until(() => sent.length === 2);
  assert.deepEqual(sent.map(({ id, error }) => [id, error]).sort(), [
    [1, "the answer exceeds 33554432 bytes"],
    [2, "the answer could not be written"],
  ]);
});
