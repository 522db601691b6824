import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { countConnections, parseTcpOpens, tcpOpens } from "../../bench/measure/connections.ts";
import { busyShares, parseCpuClock } from "../../bench/measure/cpu-shares.ts";
import {
  forest,
  kilobytes,
  parseSwitches,
  readMemory,
  readMemoryWithoutBench,
  treePids,
} from "../../bench/measure/process-reading.ts";
import {
  NEEDLE_ESTABLISHED,
  needleOfPort,
  parseSocketTable,
  wasEstablished,
} from "../../bench/measure/socket-table.ts";
import { TlsWatch, tlsPairs } from "../../bench/measure/tls-watch.ts";
import { readMoment, used } from "../../bench/run/moment.ts";
import { until } from "../helpers/until.ts";

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };
const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1065 1 0000 100
   1: 0100007F:07E8 0100007F:A001 01 00000000:00000000 00:00000000 00000000     0        0 2001 1 0000 20
   2: 0100007F:A001 0100007F:07E8 01 00000000:00000000 00:00000000 00000000     0        0 2002 1 0000 20
   3: 0100007F:07E8 0100007F:A002 06 00000000:00000000 03:000017A9 00000000     0        0 0 3 0000
   4: 0100007F:A003 0100007F:07E8 02 00000000:00000000 00:00000000 00000000     0        0 2003 1 0000 20
`;

/** A server and some connections to it, all of them up; closed when the test is over. */
async function connected(
  count: number,
  use: (server: Server, port: number) => Promise<void>,
): Promise<void> {
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  try {
    for (let at = 0; at < count; at++) {
      const socket = connect(port, "127.0.0.1");
      sockets.push(socket);
      await once(socket, "connect");
    }
    await until(() => accepted.length === count);
    await use(server, port);
  } finally {
    for (const socket of [...sockets, ...accepted]) socket.destroy();
    server.close();
  }
}

test("a root that is the child of another root is counted once", () => {
  const one = (pid: number, parent: number) => ({ pid, parent, userMs: 10, systemMs: 1 });
  const all = [one(1, 0), one(10, 1), one(20, 10), one(30, 20), one(40, 1)];
  const pids = forest([20, 10, 40], all).map(({ pid }) => pid);
  assert.deepEqual(pids, [10, 20, 30, 40]);
  assert.throws(() => forest([10, 99], all), /process 99 has ended/);
});

test("memory is read in bytes, and a text that does not tell it is refused", () => {
  const text = "0-1 ---p 00000000 00:00 0    [rollup]\nRss:     1748 kB\nPss:      263 kB\n";
  assert.deepEqual([kilobytes(text, "Rss"), kilobytes(text, "Pss")], [1_789_952, 269_312]);
  assert.equal(kilobytes("", "Pss"), 0);
  assert.throws(() => kilobytes("Rss: 1 kB\n", "Pss"), /does not tell Pss/);
});

test("voluntary and forced context switches are added up", () => {
  const text = "Threads:\t1\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
  assert.equal(parseSwitches(text), 695);
  assert.equal(parseSwitches(""), 0);
});

test("a tree of processes has memory, and its switches and CPU time grow", onLinux, async () => {
  // The shell stays the parent of a process that works.
  const work = "const end = Date.now() + 1e9; while (Date.now() < end) Math.sqrt(2);";
  const child = spawn("sh", ["-c", `"${process.execPath}" -e '${work}'; true`], { detached: true });
  const pid = child.pid ?? 0;
  try {
    const spent = async () => {
      const pids = await treePids([pid]);
      const now = readMoment(pids, []);
      return pids.reduce((sum, one) => sum + (now.processes.get(one)?.userMs ?? 0), 0);
    };
    await until(async () => (await spent()) >= 50);
    const before = await readMemory([pid, process.pid]);
    assert.ok(before.pids.includes(pid) && before.pids.includes(process.pid));
    assert.ok(before.rssBytes > before.pssBytes, `${before.rssBytes} ${before.pssBytes}`);
    const node = await readMemory([pid]);
    assert.equal(node.pids.length, 2);
    assert.ok(node.pssBytes > 5e6, `PSS of a Node process: ${node.pssBytes}`);
    // This test runs on Node, too, so the text is shared at least by two.
    const alone = await readMemoryWithoutBench([pid]);
    assert.ok(alone.pssBytes > 1.1 * node.pssBytes, `${alone.pssBytes} ${node.pssBytes}`);
    assert.ok(alone.pssBytes <= alone.rssBytes);
    const pids = await treePids([pid]);
    const first = readMoment(pids, []);
    const grown = () => used(pids, first, readMoment(pids, []));
    // A process that only works is switched from when its time is up and another one wants the CPU.
    await until(() => grown().userMs >= 50 && grown().contextSwitches > 0, { timeoutMs: 30_000 });
    assert.deepEqual(await treePids([pid]), pids);
    for (const value of first.clock.idleMs.values()) assert.ok(value > 0);
  } finally {
    process.kill(-pid, "SIGKILL");
    await once(child, "close");
  }
  await assert.rejects(readMemory([pid]), /has ended/);
});

test("rows of the socket table have state, ports and inode", () => {
  const rows = parseSocketTable(TABLE);
  assert.deepEqual(
    rows.map(({ localPort, remotePort, state, inode }) => [localPort, remotePort, state, inode]),
    [
      [2_024, 0, 10, 1_065],
      [2_024, 40_961, 1, 2_001],
      [40_961, 2_024, 1, 2_002],
      [2_024, 40_962, 6, 0],
      [40_963, 2_024, 2, 2_003],
    ],
  );
  assert.deepEqual(rows.map(wasEstablished), [false, true, true, true, false]);
  assert.throws(() => parseSocketTable("head\nnonsense\n"), /not a row/);
  assert.deepEqual(parseSocketTable(TABLE, [NEEDLE_ESTABLISHED]), rows.slice(1, 3));
  assert.equal(needleOfPort(443), ":01BB ");
  assert.deepEqual(parseSocketTable(TABLE, [needleOfPort(2_024)]), rows);
  assert.deepEqual(parseSocketTable(TABLE, [needleOfPort(40_962)]), rows.slice(3, 4));
});

test("a connection is one TLS handshake whichever ends are visible, closed ones included", () => {
  const rows = parseSocketTable(TABLE);
  assert.equal(tlsPairs(rows, new Set([2_024])).size, 2);
  // The two namespaces of two hosts show one end each.
  const [, accepting, opening] = rows;
  assert.ok(accepting !== undefined && opening !== undefined);
  assert.deepEqual(tlsPairs([accepting], new Set([2_024])), tlsPairs([opening], new Set([2_024])));
  assert.equal(tlsPairs(rows, new Set([443])).size, 0);
});

test("connections of this process are counted at both ends", onLinux, async () => {
  const before = await countConnections([process.pid]);
  await connected(5, async () => {
    assert.equal(await countConnections([process.pid]), before + 10);
  });
});

test("opened and accepted connections of the namespace are counted", onLinux, async () => {
  const text = "Ip: A\nIp: 1\nTcp: RtoMin ActiveOpens PassiveOpens InSegs\nTcp: 200 14 13 9\n";
  assert.equal(parseTcpOpens(text), 27);
  assert.throws(() => parseTcpOpens("Udp: A\nUdp: 1\n"), /does not tell/);
  const before = await tcpOpens(process.pid);
  await connected(3, async () => {
    // Others on the machine may open some, too.
    assert.ok((await tcpOpens(process.pid)) >= before + 6);
  });
});

test("a watch counts only the connections that came up after it began", onLinux, async () => {
  await connected(2, async (_server, port) => {
    const watch = await TlsWatch.begin([port], [process.pid]);
    const idle = await TlsWatch.begin([port], [process.pid]);
    assert.equal(await idle.end(), 0);
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    // Closed in an orderly way, it is still visible for a minute.
    socket.end();
    assert.equal(await watch.end(), 1);
    socket.destroy();
  });
  assert.equal(await (await TlsWatch.begin([], [process.pid])).end(), 0);
});

test("what is not idle is busy, and what the proxies did not use is foreign", () => {
  const at = (atMs: number, zero: string, one: string) =>
    parseCpuClock(`cpu  9 9 9 9\ncpu0 ${zero}\ncpu1 ${one}\nintr 1\n`, atMs);
  const before = at(0, "10 0 10 1000 5 0 0 0", "0 0 0 2000 0 0 0 0");
  const after = at(1_000, "70 0 20 1020 5 0 10 0", "0 0 0 2050 0 0 0 0");
  const places = { proxyCpus: [0], loadCpus: [1] };
  const shares = busyShares(places, before, after, 700);
  assert.deepEqual(shares, { loadBusy: 0.5, proxyBusy: 0.8, foreignShare: shares.foreignShare });
  assert.ok(Math.abs((shares.foreignShare ?? 0) - 0.1) < 1e-9);
  const both = busyShares({ proxyCpus: [0, 1], loadCpus: null }, before, after, null);
  assert.deepEqual([both.loadBusy, both.foreignShare], [null, null]);
  assert.ok(Math.abs((both.proxyBusy ?? 0) - 0.65) < 1e-9);
  assert.deepEqual(busyShares({ proxyCpus: null, loadCpus: null }, before, after, 1), {
    ...{ loadBusy: null, proxyBusy: null, foreignShare: null },
  });
  assert.throws(() => busyShares({ proxyCpus: [7], loadCpus: null }, before, after, 1), /no CPU 7/);
});
