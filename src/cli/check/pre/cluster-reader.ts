import { KubeApi } from "../../../kubernetes/api/kube-api.ts";
import { KubeApiError } from "../../../kubernetes/api/kube-api-error.ts";
import type { Log } from "../../../registry/log.ts";

/** An answer of the API server, refusals included: they are findings too. */
export interface ClusterAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Asks the API server. Rejects only where nothing answers. */
export interface ClusterReader {
  /** Its URL. */
  readonly server: string;
  get(path: string): Promise<ClusterAnswer>;
  post(path: string, body: object): Promise<ClusterAnswer>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 10_000;
/** What goes wrong is a finding, and needs no line of log as well. */
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** @throws Error where no cluster is known, or the kubeconfig cannot be read. */
export async function openCluster(kubeconfig: string, context: string): Promise<ClusterReader> {
  const api = await KubeApi.open({ kubeconfig, context, log: SILENT });
  const ask = async (method: "GET" | "POST", path: string, body?: object) => {
    try {
      const sent = body === undefined ? {} : { body };
      return await api.request({ method, path, ...sent, timeoutMs: TIMEOUT_MS });
    } catch (error) {
      if (error instanceof KubeApiError) return { status: error.status, body: null };
      throw error;
    }
  };
  return {
    server: api.server,
    get: (path) => ask("GET", path),
    post: (path, body) => ask("POST", path, body),
    close: () => api.close(),
  };
}
