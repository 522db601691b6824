import { get } from "node:http";
import { endWithParent, numberFrom } from "./lifeline.ts";

/** The customers: a constant rate of requests, never more than `MAX_IN_FLIGHT` at once. */
const URL_TO_CALL = process.env["TARGET"] ?? "http://front/";
const RATE = numberFrom("RATE", 50);
const MAX_IN_FLIGHT = numberFrom("MAX_IN_FLIGHT", 64);
const TICK_MS = 20;

let opened = false;
let inFlight = 0;
let owed = 0;
let lastMs = performance.now();

function call(onStatus?: (status: number) => void): void {
  inFlight += 1;
  let ended = false;
  const done = (): void => {
    if (!ended) inFlight -= 1;
    ended = true;
  };
  const calling = get(URL_TO_CALL, { timeout: 10_000 }, (response) => {
    onStatus?.(response.statusCode ?? 0);
    response.resume();
    response.on("close", done);
  });
  calling.on("timeout", () => calling.destroy());
  calling.on("error", done);
}

function openTheDoors(): void {
  lastMs = performance.now();
  setInterval(() => {
    const nowMs = performance.now();
    // A stalled host must not be punished by a burst afterwards: at most a quarter of a second is owed.
    owed = Math.min(owed + ((nowMs - lastMs) * RATE) / 1_000, RATE / 4);
    lastMs = nowMs;
    for (; owed >= 1; owed -= 1) if (inFlight < MAX_IN_FLIGHT) call();
  }, TICK_MS);
}

// The shop may still be opening: one customer knocks until it is served, and then all come.
const knocking = setInterval(() => {
  if (inFlight > 0) return;
  call((status) => {
    if (status !== 200 || opened) return;
    opened = true;
    clearInterval(knocking);
    openTheDoors();
  });
}, 100);

endWithParent();
process.stdout.write("listening 0\n");
