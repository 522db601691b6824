import { describe } from "node:test";
import type { EtcdStore } from "../../../src/registry/etcd/etcd-store.ts";
import { noEtcd } from "../../helpers/etcd.ts";
import { storeConformance } from "../store-conformance.ts";
import { newPrefix, openStore, sharedEtcd } from "./etcd-lab.ts";

describe("the store in etcd", { skip: noEtcd }, () => {
  const etcd = sharedEtcd();

  storeConformance("EtcdStore", async (t) => {
    const prefix = newPrefix();
    let open: EtcdStore | null = null;
    return async (options = {}) => {
      await open?.close();
      open = await openStore(t, etcd().urls, prefix, options);
      return open;
    };
  });
});
