import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, describe, it } from "node:test";
import { removeLinks } from "../../daemon/demo/containers.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-containers-"));
const { PATH } = process.env;
after(() => {
  process.env["PATH"] = PATH;
  rmSync(folder, { recursive: true, force: true });
});

/** Puts an `ip` before the real one that knows one interface of the demo and deletes it with these words. */
function ipThatSays(words: string): void {
  const script = `#!/bin/sh
case "$*" in
  "netns list") ;;
  "-o link show") echo "7: hmd3@if2: <UP> mtu 1500" ;;
  *) echo "${words}" >&2; exit 2 ;;
esac
`;
  writeFileSync(join(folder, "ip"), script);
  chmodSync(join(folder, "ip"), 0o755);
  process.env["PATH"] = `${folder}${delimiter}${PATH}`;
}

describe("removal of the demo's interfaces", () => {
  for (const words of ['Cannot find device \\"hmd3\\"', "RTNETLINK answers: No such device"]) {
    it(`takes an interface for removed that goes by itself: ${words.slice(0, 18)}`, async () => {
      ipThatSays(words);
      assert.deepEqual(await removeLinks(), ["interface hmd3"]);
    });
  }

  it("fails where an interface stays", async () => {
    ipThatSays("RTNETLINK answers: Operation not permitted");
    await assert.rejects(removeLinks(), /ip link del hmd3: .*not permitted/);
  });
});
