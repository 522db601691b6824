import * as z from "zod";
import type { ConnectionLimits } from "../../core/traffic.ts";
import { differently, honoured, ineffective } from "../support.ts";
import type { Work } from "../translator.ts";
import { durationIn } from "../value-fields.ts";
import { type Present, present } from "./present.ts";

/** Linux' own, which Istio leaves as it is. */
const KEEPALIVE_MS = 7_200_000;

const count = z.number().int().min(0).max(4_294_967_295);
const unlimited = "0, and absent: no limit but the daemon's own";
const ownHttp2 = "the protocol of the port decides which version is spoken, and the daemon how";
const system = "the operating system's own holds";

const keepaliveField = z.strictObject({
  time: honoured(durationIn(1_000), "default: 2h").default(KEEPALIVE_MS),
  interval: ineffective(durationIn(1_000), system),
  probes: ineffective(count, system),
});

const tcpField = z.strictObject({
  maxConnections: honoured(count, unlimited).optional(),
  connectTimeout: honoured(durationIn(1), "default: the daemon's").optional(),
  tcpKeepalive: keepaliveField.optional(),
  maxConnectionDuration: honoured(durationIn(1)).optional(),
  idleTimeout: differently(
    durationIn(0),
    "one time for TCP and for idle connections of HTTP; `http.idleTimeout` counts where both are given; `0s`: none",
  ).optional(),
});

const httpField = z.strictObject({
  http1MaxPendingRequests: honoured(count, unlimited).optional(),
  http2MaxRequests: honoured(count, `of HTTP/1.1 too, as in Istio; ${unlimited}`).optional(),
  maxRequestsPerConnection: honoured(count, unlimited).optional(),
  maxRetries: honoured(count, `retries under way at a time; ${unlimited}`).optional(),
  idleTimeout: honoured(durationIn(0), "of connections without a request; `0s`: none").optional(),
  h2UpgradePolicy: ineffective(z.enum(["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]), ownHttp2),
  useClientProtocol: ineffective(z.boolean(), ownHttp2),
  maxConcurrentStreams: ineffective(count, ownHttp2),
  http2KeepAlive: ineffective(z.unknown(), ownHttp2),
});

export const connectionPoolField = z.strictObject({
  tcp: tcpField.optional(),
  http: httpField.optional(),
});

const some = (limit: number | undefined) => (limit === 0 ? undefined : limit);

export function toConnectionLimits(
  pool: z.infer<typeof connectionPoolField>,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): Present<ConnectionLimits> {
  const { tcp = {}, http = {} } = pool;
  if (http.idleTimeout !== undefined && tcp.idleTimeout !== undefined) {
    if (http.idleTimeout !== tcp.idleTimeout) {
      work.warn([...path, "tcp", "idleTimeout"], "no effect: http.idleTimeout counts for both");
    }
  }
  const { tcpKeepalive } = tcp;
  return present({
    maxConnections: some(tcp.maxConnections),
    maxPending: some(http.http1MaxPendingRequests),
    maxRequests: some(http.http2MaxRequests),
    maxRetries: some(http.maxRetries),
    maxRequestsPerConnection: some(http.maxRequestsPerConnection),
    connectTimeoutMs: tcp.connectTimeout,
    idleTimeoutMs: http.idleTimeout ?? tcp.idleTimeout,
    maxConnectionMs: tcp.maxConnectionDuration,
    tcpKeepalive: tcpKeepalive && { idleMs: tcpKeepalive.time },
  });
}
