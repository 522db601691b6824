import { request } from "node:http";

/** The target that the data path answers itself, on its explicit listener. */
const TARGET = "http://hostmesh.internal/healthz";

/**
 * Sends one real request through the explicit listener. Rejects when there is no `200 ok` in time. A
 * listener on an unspecified address is asked through loopback.
 */
export function probeDataPath(bind: string, port: number, timeoutMs: number): Promise<void> {
  const host = bind === "0.0.0.0" ? "127.0.0.1" : bind === "::" ? "::1" : bind;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const headers = { host: "hostmesh.internal", connection: "close" };
    const probe = request({ host, port, path: TARGET, headers, signal, agent: false });
    probe.on("error", (cause) => {
      const what = signal.aborted ? `no answer in ${timeoutMs} ms` : cause.message;
      reject(new Error(`probe of ${host} port ${port}: ${what}`, { cause }));
    });
    probe.on("response", (response) => {
      response.on("error", reject);
      response.resume();
      response.on("end", () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`probe of ${host} port ${port}: status ${response.statusCode}`));
      });
    });
    probe.end();
  });
}
