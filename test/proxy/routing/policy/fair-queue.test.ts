import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seeded } from "../../../../src/core/random.ts";
import type { TurnWaiter } from "../../../../src/core/share.ts";
import { FairQueue, type Flow } from "../../../../src/proxy/routing/policy/fair-queue.ts";

/** A queue whose turns the test ends. */
function lab(turnRequests = 8) {
  const deferred: (() => void)[] = [];
  const delayed: (() => void)[] = [];
  let waits = 0;
  const queue = new FairQueue({
    turnRequests,
    defer: (action) => void deferred.push(action),
    later: (action) => void delayed.push(action),
    onWait: () => {
      waits += 1;
    },
  });
  const run = (actions: (() => void)[]) => {
    const now = actions.splice(0);
    for (const action of now) action();
    return now.length;
  };
  return {
    queue,
    flow: (key: string) => queue.open(key, () => null),
    endTurn: () => run(deferred),
    passTime: () => run(delayed),
    get waits() {
      return waits;
    },
  };
}

/** Something that notes its turn. */
function waiter(name: string, log: string[], cost = 1): TurnWaiter {
  return {
    onTurn: () => {
      log.push(name);
      return cost;
    },
  };
}

/** Begins at once, or waits. */
function begin(flow: Flow, name: string, log: string[]): void {
  if (flow.tryBegin(1)) log.push(name);
  else flow.wait(waiter(name, log));
}

describe("a fair queue", () => {
  it("lets everybody begin at once who stays within a turn's worth, and arms nothing for a quarter of it", () => {
    const { flow, endTurn } = lab();
    const one = flow("a");
    assert.ok(one.tryBegin(1));
    assert.equal(endTurn(), 0, "nothing was armed");
    for (let at = 1; at < 8; at += 1) assert.ok(one.tryBegin(1));
    assert.equal(endTurn(), 1);
    assert.ok(one.tryBegin(1));
  });

  it("makes what comes beyond it wait, in order, for the next turns", () => {
    const { flow, endTurn, queue } = lab();
    const log: string[] = [];
    const one = flow("a");
    for (let at = 0; at < 20; at += 1) begin(one, `${at}`, log);
    assert.equal(log.length, 8);
    endTurn();
    assert.equal(log.length, 16);
    begin(one, "20", log);
    assert.equal(log.length, 16, "nobody overtakes");
    endTurn();
    assert.deepEqual(
      log,
      Array.from({ length: 21 }, (_, at) => `${at}`),
    );
    assert.equal(endTurn(), 1, "the last turn was counted");
    assert.equal(endTurn(), 0, "and that is all");
    assert.equal(queue.size, 1);
  });

  it("does not make a source wait for another's line", () => {
    const { flow, endTurn } = lab();
    const log: string[] = [];
    const flood = flow("flood");
    const modest = flow("modest");
    for (let at = 0; at < 100; at += 1) begin(flood, "f", log);
    for (let turn = 0; turn < 5; turn += 1) {
      begin(modest, "m", log);
      assert.equal(log.at(-1), "m");
      endTurn();
    }
  });

  it("divides a turn among those that have lines", () => {
    const { flow, endTurn } = lab();
    const log: string[] = [];
    for (const name of ["a", "b", "c", "d"]) {
      const one = flow(name);
      for (let at = 0; at < 50; at += 1) begin(one, name, log);
    }
    log.length = 0;
    // What was taken on freely, a turn's worth each, is paid first.
    for (let turn = 0; turn < 20; turn += 1) endTurn();
    const count = (name: string) => log.filter((one) => one === name).length;
    const counts = ["a", "b", "c", "d"].map(count);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 2, `${counts}`);
    log.length = 0;
    endTurn();
    assert.equal(log.length, 8);
  });

  it("charges what a source has overdrawn to its next turns", () => {
    const { flow, endTurn } = lab();
    const log: string[] = [];
    const one = flow("a");
    flow("b").spend(1);
    assert.equal(one.spend(40), false);
    begin(one, "late", log);
    for (let turn = 0; turn < 4; turn += 1) endTurn();
    assert.deepEqual(log, []);
    endTurn();
    assert.deepEqual(log, ["late"]);
  });

  it("stops no stream of a source that is alone, and does so once another has come", () => {
    const { flow, endTurn } = lab();
    const [one, other] = [flow("a"), flow("b")];
    for (let at = 0; at < 10; at += 1) assert.ok(one.spend(8));
    other.spend(1);
    assert.equal(one.spend(8), false);
    for (let turn = 0; turn < 4_096; turn += 1) {
      endTurn();
      one.spend(8);
    }
    endTurn();
    assert.ok(one.spend(80), "alone again");
  });

  it("passes over those that no longer want their turn, for nothing", () => {
    const { flow, endTurn } = lab();
    const log: string[] = [];
    const one = flow("a");
    one.spend(8);
    for (let at = 0; at < 1_000; at += 1) one.wait(waiter("gone", [], 0));
    one.wait(waiter("here", log));
    endTurn();
    assert.deepEqual(log, ["here"]);
  });

  it("keeps serving where a turn sets off the next wait, and ends when nobody waits", () => {
    const { flow, endTurn } = lab();
    const one = flow("a");
    one.spend(8);
    let left = 30;
    const again: TurnWaiter = {
      onTurn: () => {
        left -= 1;
        if (left > 0) one.wait(again);
        return 1;
      },
    };
    one.wait(again);
    let turns = 0;
    while (endTurn() > 0) turns += 1;
    assert.equal(left, 0);
    assert.ok(turns >= 30 && turns < 40, `${turns} turns`);
  });

  it("forgets a source with its last connection, and serves what still waits", () => {
    const { queue, flow, endTurn } = lab();
    const log: string[] = [];
    const one = flow("a");
    assert.equal(flow("a"), one);
    one.spend(8);
    one.wait(waiter("last", log));
    queue.close("a");
    queue.close("a");
    queue.close("a");
    assert.equal(queue.size, 0);
    endTurn();
    assert.deepEqual(log, ["last"]);
  });

  it("holds nobody back where turns have no limit", () => {
    const { flow, endTurn } = lab(Number.POSITIVE_INFINITY);
    const one = flow("a");
    for (let at = 0; at < 10_000; at += 1) assert.ok(one.tryBegin(1) && one.spend(9));
    assert.equal(endTurn(), 0);
  });

  it("lets those in that wait for room once there is some, also where another worker has made it", () => {
    const { queue, endTurn, passTime } = lab();
    let full = true;
    const one = queue.open("a", () => ({
      keep: () => undefined,
      get full() {
        return full;
      },
    }));
    const log: string[] = [];
    one.waitForRoom(waiter("first", log));
    one.waitForRoom(waiter("second", log));
    passTime();
    endTurn();
    assert.deepEqual(log, []);
    full = false;
    passTime();
    endTurn();
    assert.deepEqual(log, ["first", "second"]);
    full = true;
    one.waitForRoom(waiter("third", log));
    full = false;
    one.keep(-1);
    endTurn();
    assert.deepEqual(log, ["first", "second", "third"]);
  });
});

/** What the loop does for a request, in microseconds: reading it, taking it on, and passing its answer on. */
const COST = { read: 8, begin: 12, answer: 10 };
const UPSTREAM = 300;

interface Load {
  readonly key: string;
  /** Closed loop over so many connections, whose callers need this long between two requests; */
  readonly connections?: number;
  readonly thinkMicros?: number;
  /** or open loop at this rate. */
  readonly perSecond?: number;
}

/**
 * One worker as a model, in virtual microseconds: in each turn the loop first handles all that has become ready, in the
 * order in which it did (epoll), then what is due at its end (the queue's). Returns the latencies of each source.
 */
function simulate(turnRequests: number, loads: readonly Load[], seconds: number) {
  const random = seeded(7);
  let now = 0;
  const deferred: (() => void)[] = [];
  const events: { at: number; run: () => void }[] = [];
  const at = (when: number, run: () => void) => {
    let place = events.length;
    while (place > 0 && (events[place - 1]?.at ?? 0) > when) place -= 1;
    events.splice(place, 0, { at: when, run });
  };
  const queue = new FairQueue({
    turnRequests,
    defer: (action) => void deferred.push(action),
    later: () => undefined,
    onWait: () => undefined,
  });
  const latencies = new Map<string, number[]>();
  const send = (flow: Flow, key: string, sentAt: number, done: () => void): void => {
    const start = () => {
      now += COST.begin;
      at(now + UPSTREAM * (0.5 + random()), () => {
        now += COST.answer;
        latencies.get(key)?.push(now - sentAt);
        done();
      });
      return 1;
    };
    at(sentAt, () => {
      now += COST.read;
      if (flow.tryBegin(1)) start();
      else flow.wait({ onTurn: start });
    });
  };
  const arrivals: { at: number; flow: Flow; key: string }[] = [];
  for (const { key, connections = 0, thinkMicros = 50, perSecond = 0 } of loads) {
    const flow = queue.open(key, () => null);
    latencies.set(key, []);
    const again = (): void => {
      const thoughtAt = now + thinkMicros * (0.5 + random());
      at(thoughtAt, () => send(flow, key, thoughtAt, again));
    };
    for (let one = 0; one < connections; one += 1) send(flow, key, 0, again);
    let when = 1_000;
    while (perSecond > 0 && when < seconds * 1e6) {
      arrivals.push({ at: when, flow, key });
      when -= (Math.log(1 - random()) * 1e6) / perSecond;
    }
  }
  const idle = () => undefined;
  while (now < seconds * 1e6) {
    const next = Math.min(events[0]?.at ?? now, arrivals[0]?.at ?? Number.POSITIVE_INFINITY);
    if (deferred.length === 0) now = Math.max(now, next);
    while ((arrivals[0]?.at ?? Number.POSITIVE_INFINITY) <= now) {
      const arrival = arrivals.shift();
      if (arrival !== undefined) send(arrival.flow, arrival.key, arrival.at, idle);
    }
    const ready = events.filter((event) => event.at <= now).length;
    for (const { run } of events.splice(0, ready)) run();
    for (const action of deferred.splice(0)) action();
  }
  return (key: string, share: number): number => {
    const sorted = (latencies.get(key) ?? []).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  };
}

describe("a worker without time to spare, as a model", () => {
  const modest: Load = { key: "modest", perSecond: 500 };
  const wellBehaved = Array.from({ length: 8 }, (_, at) => ({ key: `peer ${at}`, connections: 4 }));

  it("answers a modest source as fast beside a flood as beside well-behaved ones (p99 within 20 %)", (t) => {
    const fair = simulate(8, [modest, ...wellBehaved], 4)("modest", 0.99);
    for (const connections of [100, 300, 1_000]) {
      const flood = { key: "flood", connections };
      const p99 = simulate(8, [modest, flood], 4)("modest", 0.99);
      const without = simulate(Number.POSITIVE_INFINITY, [modest, flood], 4)("modest", 0.99);
      t.diagnostic(
        `${connections} connections: p99 ${p99.toFixed(0)} us, beside well-behaved ${fair.toFixed(0)}, without scheduling ${without.toFixed(0)}`,
      );
      assert.ok(p99 < fair * 1.2, `${p99} against ${fair}`);
      assert.ok(without > fair * 1.5, "or else this proves nothing");
    }
  });

  it("does so beside several floods, too", () => {
    const fair = simulate(8, [modest, ...wellBehaved], 4)("modest", 0.99);
    const floods = Array.from({ length: 4 }, (_, at) => ({ key: `flood ${at}`, connections: 100 }));
    const p99 = simulate(8, [modest, ...floods], 4)("modest", 0.99);
    assert.ok(p99 < fair * 1.2, `${p99} against ${fair}`);
  });
});
