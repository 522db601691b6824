import { setTimeout as delay } from "node:timers/promises";
import { request } from "undici";
import { answeredByMesh } from "./answered-by-mesh.ts";

/**
 * A process that waits until a daemon has recorded, for each of these services, a request that came in by its mesh port
 * and was answered well: `node check-mesh-entry.ts METRICS-URL SERVICES SECONDS`, services with commas between. Exit
 * code 1, and a line on standard error, where it does not in time. A process of its own, because it runs in the network
 * namespace of that daemon.
 */
const PAUSE_MS = 50;

const [, , url = "", services = "", seconds = "0"] = process.argv;
const until = performance.now() + Number(seconds) * 1_000;
for (;;) {
  const { body } = await request(url);
  const counts = answeredByMesh(await body.text());
  const absent = services.split(",").filter((name) => (counts.get(`default/${name}`) ?? 0) === 0);
  if (absent.length === 0) break;
  if (performance.now() > until) {
    console.error(`no request for ${absent.join(", ")} came in by mutual TLS`);
    process.exit(1);
  }
  await delay(PAUSE_MS);
}
