import { SqliteStore } from "../../src/registry/sqlite-store.ts";

/** Writes as fast as it can and names every write on standard output once it is acknowledged. */
const [, , path = "", round = ""] = process.argv;
const store = new SqliteStore({ path, maxLogEntries: 50 });
for (let index = 0; ; index++) {
  const name = `w${round}-${index}`;
  const value = {
    name,
    namespace: "default",
    serviceAccount: "default",
    host: "h1",
    addresses: [`10.${round}.${index >> 8}.${index & 255}`],
  };
  const { revision } = await store.commit(
    [{ kind: "workload", key: `default/${name}`, value }],
    store.revision(),
  );
  // Synchronous on a pipe: what the parent reads was acknowledged before the kill.
  process.stdout.write(`${name} ${revision}\n`);
}
