import type { Config } from "../src/config/schema.ts";
import type { EtcdOptions } from "../src/registry/etcd/etcd-options.ts";

/** Where several registries keep what they share; null: this one is alone. */
export function registryEtcd({ registry }: Config): EtcdOptions | null {
  if (registry.store === "sqlite") return null;
  return {
    endpoints: registry.etcdEndpoints,
    prefix: registry.etcdPrefix,
    caFile: registry.etcdCaFile,
    certFile: registry.etcdCertFile,
    keyFile: registry.etcdKeyFile,
    username: registry.etcdUsername,
    passwordFile: registry.etcdPasswordFile,
    leaseMs: registry.etcdLeaseMs,
    compactMs: registry.etcdCompactMs,
  };
}
