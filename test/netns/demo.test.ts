import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "../helpers/until.ts";
import { type Host, Lab } from "./harness.ts";
import { skipReason } from "./helpers/privilege.ts";
import { must } from "./helpers/shell.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** `hostmesh up --demo` on a host of its own, told to stop or killed. */
describe("the demo in containers", { skip: skipReason() }, () => {
  let lab: Lab;
  let host: Host;
  let folder = "";
  let bare = "";
  const output: string[] = [];
  const started: ChildProcess[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "hostmesh-demo-"));
    lab = await Lab.create();
    host = await lab.host("demo", { veth: "unnumbered" });
    bare = await fingerprint();
  });
  after(async () => {
    for (const child of started) child.kill("SIGKILL");
    await lab.destroy();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Everything that the demo could leave on its host. */
  async function fingerprint(): Promise<string> {
    const commands = [
      ["iptables-save"],
      ["ip6tables-save"],
      ["ipset", "list", "-n"],
      ["ip", "rule"],
      ["ip", "-6", "rule"],
      ["ip", "route", "show", "table", "all"],
      ["ip", "-br", "link"],
      ["sysctl", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"],
    ];
    const texts: string[] = [];
    for (const [command = "", ...args] of commands) {
      texts.push((await host.namespace.run(command, args)).stdout.replace(/^#.*$/gm, ""));
    }
    const namespaces = (await must("ip", ["netns", "list"])).split("\n");
    texts.push(namespaces.filter((line) => line.startsWith("hmdemo-")).join());
    return texts.join("\n");
  }

  function up(...args: string[]): ChildProcess {
    // Not by `ip netns exec`: that has mounts of its own, in which namespaces made there would be hidden.
    const command = [`--net=/run/netns/${host.namespace.name}`, process.execPath, MAIN, "up"];
    const child = spawn("nsenter", [...command, "--data", folder, ...args]);
    started.push(child);
    output.length = 0;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (part: string) => output.push(part));
    }
    return child;
  }

  async function inClient(script: string): Promise<string> {
    return (await must("ip", ["netns", "exec", "hmdemo-client", "bash", "-c", script])).trim();
  }

  async function untilServed(): Promise<void> {
    const served = async (): Promise<boolean> => {
      try {
        return (await inClient("curl -s -m 2 http://front/")).includes('"ticker":"250');
      } catch {
        return false;
      }
    };
    await shown(until(served, { timeoutMs: 60_000, what: "an answer of front" }));
  }

  /** Adds what the command said to the error of something that did not happen. */
  async function shown(happening: Promise<void>): Promise<void> {
    try {
      await happening;
    } catch (cause) {
      throw new Error(`${String(cause)}\n${output.join("")}`, { cause });
    }
  }

  function processesOf(namespace: string): Promise<string> {
    return must("ip", ["netns", "pids", namespace]);
  }

  it("serves clients that know nothing of a proxy, and is gone after SIGTERM", async () => {
    const child = up("--demo");
    await untilServed();
    const flows = await inClient(
      "curl -s -m 2 -o /dev/null -w '%{http_code} %{remote_ip}' http://catalog/",
    );
    assert.match(flows, /^(200|500|502) 240\.240\./, "answered at the service's virtual address");
    const greeting = await inClient("exec 3<>/dev/tcp/ticker/7000; head -1 <&3");
    assert.equal(greeting, "220 ticker ready");
    const six = await inClient("curl -6 -s -m 2 -o /dev/null -w '%{http_code}' http://catalog/");
    assert.equal(six, "200");
    assert.match(output.join(""), /catalog-slow +ten times slower/);
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    assert.equal(code, 0, output.join(""));
    assert.equal(await fingerprint(), bare);
    assert.equal(existsSync("/etc/netns/hmdemo-client"), false);
    assert.equal(existsSync("/run/hostmesh-demo.json"), false);
  });

  it("leaves no process after SIGKILL, and the next start clears the rest", async () => {
    const killed = up("--demo");
    await untilServed();
    killed.kill("SIGKILL");
    await once(killed, "exit");
    await until(async () => (await processesOf("hmdemo-client")) === "", {
      what: "the end of the demo's programs",
    });
    const namespaces = await must("ip", ["netns", "list"]);
    assert.match(namespaces, /hmdemo-front/, "the containers are still there");

    const next = up();
    const cleared = async () => !(await must("ip", ["netns", "list"])).includes("hmdemo-");
    await shown(until(cleared, { timeoutMs: 30_000, what: "the end of the former demo" }));
    const said = () => output.join("").includes("cleared after a demo that was killed");
    await shown(until(said, { what: "word of the former demo" }));
    const list = [MAIN, "service", "list", "-o", "json"];
    await until(async () => (await host.namespace.exec(process.execPath, list)).trim() === "[]", {
      what: "the end of the former demo's registrations",
    });
    next.kill("SIGTERM");
    const [code] = await once(next, "exit");
    assert.equal(code, 0, output.join(""));
    assert.equal(await fingerprint(), bare);
  });
});
