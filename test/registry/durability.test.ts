import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { seeded } from "../../src/core/random.ts";
import { SqliteStore } from "../../src/registry/sqlite-store.ts";
import { until } from "../helpers/until.ts";
import { tempFolder } from "./setup.ts";

const CHILD = fileURLToPath(new URL("durability-child.ts", import.meta.url));

test("every acknowledged write is there after SIGKILL at random moments", async (t) => {
  const path = join(await tempFolder(t), "registry.sqlite");
  const random = seeded(20_26);
  const acknowledged = new Map<string, number>();
  let epoch: string | null = null;
  for (let round = 1; round <= 4; round++) {
    const child = spawn(process.execPath, [CHILD, path, String(round)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    const least = Math.floor(20 + random() * 200);
    await until(() => output.split("\n").length > least, { what: "writes of the child" });
    child.kill("SIGKILL");
    await once(child, "close");
    // The last line may be torn: only whole lines are acknowledgements.
    for (const line of output.split("\n").slice(0, -1)) {
      const [name = "", revision = ""] = line.split(" ");
      acknowledged.set(`default/${name}`, Number(revision));
    }
    const store = new SqliteStore({ path });
    const found = new Map<string, number>();
    for await (const batch of store.load()) {
      for (const { key, revision } of batch) found.set(key, revision);
    }
    for (const [key, revision] of acknowledged) assert.equal(found.get(key), revision, key);
    assert.ok(store.revision() >= Math.max(...acknowledged.values()));
    assert.ok(
      found.size <= acknowledged.size + round,
      "at most one write per kill is unacknowledged",
    );
    epoch ??= store.epoch;
    assert.equal(store.epoch, epoch);
    const newest = await store.changesSince(store.revision() - 5);
    assert.equal(newest?.changes.length, 5);
    await store.close();
  }
  t.diagnostic(`${acknowledged.size} acknowledged writes over 4 kills`);
});
