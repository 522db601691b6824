import { randomUUID } from "node:crypto";
import { after, before, type TestContext } from "node:test";
import { EtcdClient } from "../../../src/registry/etcd/etcd-client.ts";
import type { EtcdOptions } from "../../../src/registry/etcd/etcd-options.ts";
import { EtcdStore, type EtcdStoreOptions } from "../../../src/registry/etcd/etcd-store.ts";
import { Layout } from "../../../src/registry/etcd/layout.ts";
import { processTimers } from "../../../src/registry/timers.ts";
import { type EtcdCluster, etcdCluster, noEtcd } from "../../helpers/etcd.ts";
import { keepingLog } from "../setup.ts";

/** One etcd for all tests of a file; each test takes a prefix of its own. */
export function sharedEtcd(size = 1, flags: readonly string[] = []): () => EtcdCluster {
  let cluster: EtcdCluster | null = null;
  const cleanUp: (() => Promise<void>)[] = [];
  if (noEtcd === false) {
    before(async () => {
      const all = { flags: ["--unsafe-no-fsync", ...flags] };
      cluster = await etcdCluster({ after: (task) => cleanUp.push(task) }, size, all);
    });
    after(async () => {
      for (const task of cleanUp) await task();
    });
  }
  return () => {
    if (cluster === null) throw new Error("etcd is not started");
    return cluster;
  };
}

export function newPrefix(): string {
  return `/test-${randomUUID()}/`;
}

export function clientOf(t: TestContext, urls: readonly string[], callMs?: number): EtcdClient {
  const credentials = {};
  const client = new EtcdClient({
    ...{ endpoints: urls, credentials },
    ...(callMs === undefined ? {} : { callMs }),
  });
  t.after(() => client.close());
  return client;
}

/** A store and the client that it alone uses, closed with the test. */
export async function openStore(
  t: TestContext,
  urls: readonly string[],
  prefix: string,
  options: Partial<EtcdStoreOptions> & { readonly callMs?: number } = {},
): Promise<EtcdStore> {
  const { callMs, ...rest } = options;
  const store = await EtcdStore.open({
    client: clientOf(t, urls, callMs),
    ...{
      layout: new Layout(prefix),
      timers: processTimers,
      random: Math.random,
      log: keepingLog(),
    },
    ...rest,
  });
  t.after(() => store.close());
  return store;
}

/** Settings of a registry over these members, without protection. */
export function etcdOptions(urls: readonly string[], prefix: string): EtcdOptions {
  return {
    ...{ endpoints: urls, prefix, caFile: "", certFile: "", keyFile: "" },
    ...{ username: "", passwordFile: "", leaseMs: 1_000, compactMs: 1_000 },
  };
}
