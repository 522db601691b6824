import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  BUDGETS,
  type Budget,
  excesses,
  IDLE_DAEMON,
  IDLE_WORKER,
} from "../../bench/syscalls/budgets.ts";
import { CASES, type CaseName, type PerRequest } from "../../bench/syscalls/cases.ts";
import { countCase, countIdle, type Scope } from "../../bench/syscalls/count-case.ts";
import { openStage, type Stage } from "../../bench/syscalls/stage.ts";
import { whyNotCountable } from "../../bench/syscalls/strace.ts";
import { byKind, parseSummary } from "../../bench/syscalls/summary.ts";

/** The thread that carries the traffic. Helpers of the runtime (collector, compiler) come and go as they like. */
const WORKER: Scope = { threadsNamed: "worker-" };
const IDLE_SECONDS = 4;
const IDLE_SPANS = 3;
const NOTHING: PerRequest = {
  ...{ read: 0, write: 0, wait: 0, epollCtl: 0, futex: 0, memory: 0, other: 0, total: 0 },
};

const SUMMARY = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 51.20    0.101000           7     14000           write
 48.10    0.095000           6     14010        10 read
  0.70    0.001381          11       120           epoll_pwait
  0.00    0.000004           4         1         1 openat
------ ----------- ----------- --------- --------- ----------------
100.00    0.197385           7     28131        11 total
`;

test("a summary of strace gives calls by name, those that failed included", () => {
  const counts = parseSummary(SUMMARY);
  assert.deepEqual(Object.fromEntries(counts), {
    write: 14_000,
    read: 14_010,
    epoll_pwait: 120,
    openat: 1,
  });
  const { read, write, wait, other } = byKind(counts);
  assert.deepEqual([read, write, wait, other], [14_010, 14_000, 120, 1]);
  assert.equal(parseSummary("").size, 0);
  assert.throws(() => parseSummary("strace: attach: No such process\n"), /not a summary/);
});

test("one call more for each request is above the budget, whichever it is", () => {
  for (const name of ["small", "alone", "medium"] as const) {
    const { read, write, wait } = CASES[name].pauseMs > 0 ? EXACT : { ...EXACT, wait: 0.05 };
    const usual = { ...NOTHING, read, write, wait };
    assert.deepEqual(excesses(usual, BUDGETS[name]), []);
    for (const kind of ["read", "write", "epollCtl", "futex", "memory", "other"] as const) {
      const more = { ...usual, [kind]: usual[kind] + 1 };
      assert.equal(excesses(more, BUDGETS[name]).length, 1, `${name}: ${kind}`);
    }
  }
  const turn = { ...NOTHING, ...EXACT, wait: EXACT.wait + 1 };
  assert.match(excesses(turn, BUDGETS.alone).join(), /^wait: 5\.00 calls, at most 4\.20/);
});

/** One request at a time: two turns of the loop, two calls each. */
const EXACT = { read: 2, write: 2, wait: 4 };

const mustRun = process.env["REQUIRE_PRIVILEGED_TESTS"] === "1";
const skip = mustRun ? false : ((await whyNotCountable()) ?? false);

describe("system calls of the data path", { skip, concurrency: 1 }, () => {
  for (const protocol of ["http1", "tcp"] as const) {
    describe(protocol, { concurrency: 1 }, () => {
      let stage: Stage;
      before(async () => {
        stage = await openStage(["hostmesh"], protocol, new AbortController().signal);
        assert.deepEqual(stage.missing, []);
      });
      after(() => stage?.close());

      function hostmesh() {
        const [contestant] = stage.contestants;
        assert.ok(contestant !== undefined);
        return contestant;
      }

      for (const name of namesOf(protocol)) {
        test(CASES[name].name, async (t) => {
          const counted = await countCase(stage, hostmesh(), CASES[name], WORKER);
          t.diagnostic(inWords(counted.calls));
          assert.deepEqual(excesses(counted.calls, BUDGETS[name], counted.secondsEach), []);
        });
      }

      if (protocol === "tcp") return;
      test("idle connections cost a worker nothing", async (t) => {
        await judgeIdle(WORKER, IDLE_WORKER, (text) => t.diagnostic(text));
      });

      test("an idle daemon is nearly still", async (t) => {
        await judgeIdle("all threads", IDLE_DAEMON, (text) => t.diagnostic(text));
      });

      /** What a daemon does now and then may fall into one span; what it does all the time is in each. */
      async function judgeIdle(scope: Scope, budget: Budget, say: (text: string) => void) {
        let excess: string[] = [];
        for (let span = 0; span < IDLE_SPANS; span++) {
          const calls = await countIdle(hostmesh(), CASES.small, IDLE_SECONDS, scope);
          say(inWords(calls));
          excess = excesses(calls, budget);
          if (excess.length === 0) return;
        }
        assert.deepEqual(excess, []);
      }
    });
  }
});

function namesOf(protocol: "http1" | "tcp"): CaseName[] {
  const names = Object.keys(CASES).filter((name): name is CaseName => name in CASES);
  return names.filter((name) => CASES[name].protocol === protocol);
}

function inWords(calls: PerRequest): string {
  const kinds = ["read", "write", "wait", "epollCtl", "futex", "memory", "other", "total"] as const;
  return kinds.map((kind) => `${kind} ${calls[kind].toFixed(3)}`).join(", ");
}
