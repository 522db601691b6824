import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { resultSchema } from "../../bench/result/result-schema.ts";
import { MAIN, runCli, runCliHere } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-bench-cli-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const needsLinux = { skip: process.platform === "linux" ? false : "needs /proc" };

/** A run as small as it can be: without nginx, HAProxy and Envoy, which may not be there. */
const TINY = [
  ...["bench", "--modes", "direct,host", "--peers", "hostmesh", "--repeat", "2"],
  ...["--duration", "200ms", "--connections", "8", "--quick"],
];

describe("bench", () => {
  it("refuses what is out of bounds or not there with 2, and starts nothing", async () => {
    const full = join(folder, "full");
    mkdirSync(full);
    writeFileSync(join(full, "result.json"), "{}");
    const foreign = join(folder, "foreign");
    mkdirSync(join(foreign, "config"), { recursive: true });
    const cases: [string[], RegExp][] = [
      [
        ["--streams", "2"],
        /a connection of http1 carries one request at a time; http2 and grpc carry more/,
      ],
      [["--protocol", "smtp"], /Allowed choices are http1, http2, grpc, tcp/],
      [["--connections", "1000000"], /--connections takes a whole number from 1 to 10000/],
      [["--duration", "soon"], /--duration takes a duration/],
      [["--out", full], /holds a result; --force overwrites it/],
      [["--out", foreign], /holds a config that is no bench's/],
      [["--out", "/proc/nowhere"], /cannot be written/],
      [["--idle", "many"], /--idle takes a whole number/],
      [["everything"], /too many arguments/],
    ];
    for (const [args, message] of cases) {
      const { code, stdout, stderr } = await runCliHere(["bench", ...args]);
      assert.deepEqual([code, stdout], [2, ""], args.join(" "));
      assert.match(stderr, message);
      assert.match(stderr, /--help/);
    }
    assert.deepEqual(readdirSync(full), ["result.json"]);
  });

  it("measures, and leaves table, result, report and configuration", needsLinux, async () => {
    const out = join(folder, "tiny");
    const { code, stdout, stderr } = await runCli([...TINY, "--out", out]);
    assert.equal(code, 0, stderr + stdout);
    assert.match(stdout, /HTTP\/1\.1, body 115 B, 8 connections/);
    assert.match(stdout, /^direct +/m);
    assert.match(stdout, new RegExp(`^result: +${join(out, "result.json")}$`, "m"));
    // One line for each measurement.
    assert.equal(stderr.match(/^[12]\/2 .*req\/s/gm)?.length, 4, stderr);
    const result = resultSchema.parse(JSON.parse(readFileSync(join(out, "result.json"), "utf8")));
    assert.match(result.command, /^hostmesh bench --modes direct,host --peers hostmesh/);
    const [direct, hostmesh] = result.results;
    assert.deepEqual([direct?.mode, hostmesh?.mode], ["direct", "host"]);
    assert.deepEqual(hostmesh?.rounds, { valid: 2, leftOut: 0 });
    assert.ok((direct?.throughput?.median ?? 0) > 0);
    assert.ok((hostmesh?.cpuMicrosPerRequest?.median ?? 0) > 0);
    assert.ok((hostmesh?.pssBytes?.median ?? 0) > 1e6);
    assert.ok((hostmesh?.openConnections?.median ?? 0) >= 8);
    assert.equal(direct?.cpuMicrosPerRequest, null);
    assert.equal(result.samples.length, 4);
    for (const { configFiles } of result.contestants) {
      for (const file of configFiles) assert.ok(existsSync(join(out, file)), file);
    }
    assert.match(readFileSync(join(out, "report.html"), "utf8"), /^<!doctype html>/i);
    const twice = join(out, "result.json");
    const compared = await runCliHere(["bench", "compare", twice, twice]);
    assert.equal(compared.code, 0, compared.stderr);
    assert.match(compared.stdout, /hostmesh .*1\.00x/);
    for (const args of [
      ["bench", "compare", twice, twice, "-o", "json"],
      ["bench", "compare", "-o", "json", twice, twice],
    ]) {
      const structured = await runCliHere(args);
      assert.equal(typeof JSON.parse(structured.stdout), "object", args.join(" "));
    }
  });

  it("fails where nothing could be measured", needsLinux, async () => {
    const out = join(folder, "nothing");
    const noEnvoy = ["--peers", "envoy", "--modes", "host", "--envoy-binary", "/etc/hostname"];
    const { code, stdout } = await runCli(["bench", ...noEnvoy, "--quick", "--out", out]);
    assert.equal(code, 1, stdout);
    assert.match(stdout, /NOT MEASURED: envoy/);
  });

  it(
    "broken off before a round is whole it ends with 130 and leaves nothing",
    needsLinux,
    async () => {
      const out = join(folder, "broken");
      const args = [...TINY, "--duration", "60s", "--out", out];
      const env = { PATH: process.env["PATH"] ?? "", TMPDIR: join(folder, "tmp") };
      mkdirSync(env.TMPDIR);
      const child = spawn(process.execPath, [MAIN, ...args], {
        env,
        stdio: ["ignore", "ignore", "pipe"],
      });
      let told = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        const before = told;
        told += text;
        // Once: a second one, when everything has been ended, would end the process as a signal does.
        if (/^load: /m.test(told) && !/^load: /m.test(before)) child.kill("SIGINT");
      });
      const code = await new Promise((resolve) => child.once("close", resolve));
      assert.equal(code, 130, told);
      assert.match(told, /broken off/);
      assert.ok(!existsSync(out));
      assert.deepEqual(readdirSync(env.TMPDIR), []);
    },
  );

  it("compares files only that are results", async () => {
    const file = join(folder, "other.json");
    writeFileSync(file, '{"schema":1}');
    const bad = await runCliHere(["bench", "compare", file, file]);
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /is not a result of hostmesh bench/);
    const absent = await runCliHere(["bench", "compare", join(folder, "none"), file]);
    assert.match(absent.stderr, /cannot read .*none/);
  });
});
