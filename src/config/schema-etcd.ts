import * as z from "zod";
import { httpUrl, ms, optionalPlace } from "./setting-fields.ts";

/** Part of the section `registry`: where it keeps its state, and how several of them find each other. */
export const registryStore = {
  store: z
    .enum(["sqlite", "etcd"])
    .default("sqlite")
    .describe(
      "Where the registry keeps its state. sqlite: in a file of the data folder, for one registry. etcd: several registries share it, and any of them serves daemons and takes writes.",
    ),
  replicaAddress: optionalPlace(
    "HOST or HOST:PORT at which the other registries of the mesh reach this one's TLS port, to ask for what its daemons see. Empty: registry.tlsPort at the address of this host.",
  ),
  etcdEndpoints: z
    .array(httpUrl())
    .min(1)
    .default(["http://127.0.0.1:2379"])
    .describe("Client URLs of etcd's members (3.4 or newer), tried in turn."),
  etcdPrefix: z
    .string()
    .regex(/^[\x21-\x7e]*\/$/, "a prefix that ends in /, such as /hostmesh/")
    .default("/hostmesh/")
    .describe("Begins all keys in etcd. Registries with the same prefix are one registry."),
  etcdCaFile: z
    .string()
    .default("")
    .describe("PEM of the authority of etcd's certificates. Default: the system's."),
  etcdCertFile: z.string().default("").describe("PEM of a client certificate for etcd."),
  etcdKeyFile: z.string().default("").describe("PEM of that certificate's key."),
  etcdUsername: z
    .string()
    .default("")
    .describe("User of etcd, with a role that may read and write the prefix. Empty: no login."),
  etcdPasswordFile: z.string().default("").describe("File with that user's password."),
  etcdLeaseMs: z
    .number()
    .int()
    .min(1_000)
    .default(10_000)
    .describe(
      "After how long without a sign of life another registry leads: lets heartbeats run out, and compacts. In whole seconds; etcd has a least one, twice its election time or so.",
    ),
  etcdCompactMs: ms(
    300_000,
    "How often the leading registry compacts etcd's history, all of it: what is older than this is let go. 0: etcd does it itself (--auto-compaction-retention), as it must where others use it too. Kubernetes' API server does it as often.",
  ),
};
