import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { noEtcd } from "../../helpers/etcd.ts";
import { secureRegistry } from "../identity/setup.ts";
import { call } from "../setup.ts";
import { reporting } from "../sight/answering-daemon.ts";
import { allSee, LOOPBACK, secureDaemon } from "../sight/fellows.ts";
import { etcdOptions, newPrefix, sharedEtcd } from "./etcd-lab.ts";

describe("two registries over one etcd", { skip: noEtcd }, () => {
  const etcd = sharedEtcd();

  test("see the daemons of both, and forget those of one that has left", async (t) => {
    const options = { etcd: etcdOptions(etcd().urls, newPrefix()) };
    const one = await secureRegistry(t, LOOPBACK, options);
    const two = await secureRegistry(t, LOOPBACK, options);
    await secureDaemon(t, one, "a", reporting("a"));
    const b = await secureDaemon(t, two, "b", { ...reporting("b"), config: () => "of b" });
    await allSee([one, two], ["a", "b"]);
    const { body } = await call(one, "GET", "/v1/mesh/sight/hosts/b/config");
    assert.equal(body, "of b");
    b.socket.terminate();
    await allSee([one, two], ["a"]);
  });
});
