import type { KubeApi, KubeCall } from "./kube-api.ts";
import { KubeApiError } from "./kube-api-error.ts";

/** An object as the API server has it; undefined: there is none. Rejects as `KubeApi.request` does for everything but a 404. */
export async function findObject(
  api: Pick<KubeApi, "request">,
  call: Pick<KubeCall, "path" | "timeoutMs" | "signal">,
): Promise<unknown> {
  try {
    return (await api.request({ method: "GET", ...call })).body;
  } catch (error) {
    if (error instanceof KubeApiError && error.status === 404) return undefined;
    throw error;
  }
}
