import { textTable } from "../../src/core/text-table.ts";
import type { Peer } from "../model.ts";
import { CASES, type CaseName, type PerRequest, type SyscallCase } from "./cases.ts";
import { countCase, countIdle } from "./count-case.ts";
import { openStage } from "./stage.ts";
import { whyNotCountable } from "./strace.ts";

/**
 * `node bench/syscalls/main.ts`: system calls for each request of hostmesh, nginx and HAProxy, side by side.
 * Needs strace, and the right to trace processes that this one has started.
 */
const PEERS: readonly Peer[] = ["hostmesh", "haproxy", "nginx"];
const IDLE_SECONDS = 5;
const KINDS = ["read", "write", "wait", "epollCtl", "futex", "memory", "other", "total"] as const;

interface Row {
  readonly contestant: string;
  readonly what: string;
  readonly calls: PerRequest;
}

async function measure(protocol: "http1" | "tcp", signal: AbortSignal): Promise<Row[]> {
  const names = Object.keys(CASES).filter((name): name is CaseName => name in CASES);
  const cases: SyscallCase[] = names.map((name) => CASES[name]);
  const rows: Row[] = [];
  const stage = await openStage(PEERS, protocol, signal);
  try {
    for (const { name, reason } of stage.missing) console.log(`NOT COUNTED: ${name}: ${reason}`);
    for (const one of cases.filter((candidate) => candidate.protocol === protocol)) {
      for (const contestant of stage.contestants) {
        const { calls } = await countCase(stage, contestant, one, "all threads");
        rows.push({ contestant: contestant.name, what: one.name, calls });
      }
    }
    if (protocol === "tcp") return rows;
    for (const contestant of stage.contestants) {
      const calls = await countIdle(contestant, CASES.small, IDLE_SECONDS, "all threads");
      rows.push({ contestant: contestant.name, what: "idle, each second", calls });
    }
    return rows;
  } finally {
    await stage.close();
  }
}

function print(rows: readonly Row[]): void {
  const columns = ["case", "proxy", ...KINDS].map((title, at) => ({
    title,
    align: at < 2 ? ("left" as const) : ("right" as const),
  }));
  const cells = rows.map(({ what, contestant, calls }) => [
    what,
    contestant,
    ...KINDS.map((kind) => calls[kind].toFixed(2)),
  ]);
  const table = textTable(columns, cells, { width: Number.POSITIVE_INFINITY, color: false });
  for (const line of table) console.log(line);
}

const reason = await whyNotCountable();
if (reason !== null) {
  console.error(reason);
  process.exitCode = 1;
} else {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  print([...(await measure("http1", stop.signal)), ...(await measure("tcp", stop.signal))]);
}
