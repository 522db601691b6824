import assert from "node:assert/strict";
import { it } from "node:test";
import { parseListeners } from "../../src/cli/check/listeners.ts";

it("finds listening ports in the kernel's table, of IPv4 and IPv6, and nothing else", () => {
  const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:3A98 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0
   1: 0100007F:3A98 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0000000000000000 20 4 30 10 -1
`;
  const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:102C 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0000000000000000 100 0 0 10 0
`;
  assert.deepEqual(parseListeners(tcp), [{ port: 15_000, inode: "12345" }]);
  assert.deepEqual(parseListeners(tcp6), [{ port: 4_140, inode: "777" }]);
  assert.deepEqual(parseListeners(""), []);
});
