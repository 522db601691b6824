import assert from "node:assert/strict";
import { chownSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { until } from "../helpers/until.ts";
import { footprint } from "./helpers/capture.ts";
import { GUARDIAN_CAPABILITIES, Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import type { Program } from "./helpers/program.ts";
import type { HttpAnswer } from "./helpers/reports.ts";

const UID = 64_101;
const GID = 64_102;

interface Stage {
  readonly mesh: Mesh;
  readonly host: MeshHost;
  readonly front: MeshContainer;
  readonly daemon: Program;
  readonly url: string;
  readonly bare: string;
}

async function makeStage(): Promise<Stage> {
  const mesh = await Mesh.create();
  try {
    const host = await mesh.host("a", { veth: "unnumbered" });
    const front = await host.container("front", { address4: "10.1.0.2", address6: "fd00:1::2" });
    const back = await host.container("back", { address4: "10.1.0.3", address6: "fd00:1::3" });
    await Promise.all([back.app(), mesh.startRegistry(host)]);
    await mesh.apply({
      endpoints: [host.endpoint("back", "back", back)],
      workloads: [front.workload, back.workload],
    });
    const bare = await footprint(host.host.namespace);
    // As the init container of the manifests prepares it: the guardian has no right to give files away.
    mkdirSync(host.folder, { recursive: true });
    const token = join(host.folder, "join-token");
    writeFileSync(token, await mesh.joinToken(host.name), { mode: 0o600 });
    for (const path of [host.folder, token]) chownSync(path, UID, GID);
    const daemon = await host.startDaemon({
      ...{ capture: "tproxy", enrol: true, user: `${UID}:${GID}` },
      set: ["timeouts.drainMs=60000"],
    });
    await host.untilCaptured(front, back);
    const url = `http://${back.container.address4}:8080/`;
    return { mesh, host, front, daemon, url, bare };
  } catch (error) {
    await mesh.destroy();
    throw error;
  }
}

/** How a request went: by the proxy, or directly. */
function way({ status, text = "", error }: HttpAnswer): string {
  assert.equal(status, 200, error);
  return JSON.parse(text).headers.via === undefined ? "direct" : "by proxy";
}

/** Fields of /proc/PID/status (proc_pid_status(5)). */
function statusOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, "utf8").trim().split("\n");
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [
        line.slice(0, colon),
        line
          .slice(colon + 1)
          .trim()
          .replace(/\s+/g, " "),
      ];
    }),
  );
}

/** Numbers of capabilities(7). */
const NUMBERS: Readonly<Record<string, bigint>> = {
  kill: 5n,
  setgid: 6n,
  setuid: 7n,
  net_admin: 12n,
  net_raw: 13n,
};

const sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"];

function assertPowerless(pid: number): void {
  const status = statusOf(pid);
  assert.equal(status["Uid"], `${UID} ${UID} ${UID} ${UID}`);
  assert.equal(status["Gid"], `${GID} ${GID} ${GID} ${GID}`);
  assert.equal(status["Groups"], "", "no group besides");
  for (const set of sets) assert.equal(BigInt(`0x${status[set]}`), 0n, set);
  assert.equal(status["NoNewPrivs"], "1");
}

describe("a data path of its own user", { skip: skipReason("setpriv", "mount") }, () => {
  let stage: Stage;
  before(async () => {
    stage = await makeStage();
  });
  after(() => stage?.mesh.destroy());

  const generation = async () => {
    const [pid, ...more] = stage.daemon.children;
    assert.deepEqual(more, []);
    assert.ok(pid !== undefined);
    return pid;
  };

  test("captures and proves its identity without any capability, under a guardian that has five", async () => {
    const { host, front, daemon, url } = stage;
    await host.untilCertified();
    assert.equal(way(await front.http(url)), "by proxy");
    const guardian = statusOf(daemon.pid);
    assert.equal(guardian["Uid"], "0 0 0 0");
    const expected = GUARDIAN_CAPABILITIES.map((name) => 1n << (NUMBERS[name] ?? 0n));
    assert.equal(
      BigInt(`0x${guardian["CapEff"]}`),
      expected.reduce((sum, bit) => sum | bit),
    );
    assertPowerless(await generation());
    const key = lstatSync(join(host.folder, "identity/host.key"));
    assert.deepEqual([key.uid, key.gid, key.mode & 0o777], [UID, GID, 0o600]);
  });

  test("a generation that dies is replaced by one of the same user", async () => {
    const { front, url } = stage;
    const before = await generation();
    process.kill(before, "SIGKILL");
    const isReplaced = () => {
      const [pid] = stage.daemon.children;
      return pid !== undefined && pid !== before;
    };
    await until(isReplaced, { what: "another generation" });
    assert.equal(way(await front.http(url)), "by proxy");
    assertPowerless(await generation());
  });

  test("capture is given back before the stop: what is open goes on, what is new goes direct", async () => {
    const { host, front, url } = stage;
    const readiness = () => host.http("http://127.0.0.1:15021/healthz/ready");
    await until(async () => (await readiness()).status === 200, { what: "ready" });
    const request = `GET / HTTP/1.1\r\nHost: back\r\nX-Length: ${"x".repeat(500)}\r\n\r\n`;
    assert.deepEqual(await front.hold("before", new URL(url).hostname, 8_080), {});
    assert.match((await front.echo("before", request)).text ?? "", /"via"/);
    const release = host.cli(["iptables", "release"]);
    await release.said(/capture is given back/);
    assert.equal(way(await front.http(url)), "direct");
    assert.match((await front.echo("before", request)).text ?? "", /"via"/);
    await until(async () => (await readiness()).status === 503, { what: "not ready any more" });
    assert.match((await readiness()).text ?? "", /draining/);
  });

  test("the guardian can end a generation that does not end, although it is another user's", async () => {
    const { host, daemon, bare } = stage;
    // It holds an open connection, and would drain for a minute.
    daemon.child.kill("SIGTERM");
    await daemon.said(/draining open requests/);
    const apart = performance.now() + 400;
    await until(() => performance.now() > apart);
    daemon.child.kill("SIGTERM");
    await until(() => !daemon.running, { timeoutMs: 10_000, what: "the end" });
    assert.equal(await footprint(host.host.namespace), bare);
  });
});
