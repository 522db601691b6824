import assert from "node:assert/strict";
import { test } from "node:test";
import { buildProgram } from "../../src/cli/program.ts";
import { readTable } from "./table.ts";

const silent = {
  color: false,
  isTerminal: false,
  width: () => 80,
  line: () => {},
  write: () => {},
};

test("docs/cli.md says of every command what it does", () => {
  const rows = readTable("cli.md", "command").map(({ command = "" }) => command);
  for (const command of buildProgram(silent, silent, () => {}).commands) {
    const name = command.name();
    assert.ok(
      rows.some((row) => row.split(" ")[0] === name),
      name,
    );
  }
});
