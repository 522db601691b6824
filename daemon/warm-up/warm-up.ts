import type { Socket } from "node:net";
import type { Config } from "../../src/config/schema.ts";
import type { HostPort } from "../../src/core/address.ts";
import type { BalancerPolicy } from "../../src/core/model.ts";
import { type Listener, listen } from "../../src/proxy/downstream/accept.ts";
import { Crew, type CrewResult } from "./crew.ts";
import { Gate } from "./gate.ts";
import { scratchPlane } from "./scratch-plane.ts";
import { scripts } from "./script.ts";
import { echoUpstream, type Upstream, webUpstream } from "./upstream.ts";

export interface WarmUpOptions {
  readonly config: Config;
  /** Balancing policies that the worker's services use; at least one. */
  readonly policies: readonly BalancerPolicy[];
  /** Does the worker take captured connections? */
  readonly captured: boolean;
  /** It ends after this time, settled or not. */
  readonly limitMs: number;
  /** Ends it at once. */
  readonly signal: AbortSignal;
}

/** Any free port, which nobody outside this machine can reach; `Gate` turns away the others inside. */
const LOOPBACK = { entry: "explicit", host: "127.0.0.1", port: 0, reusePort: false } as const;

/**
 * Code that has only ever seen one data plane is optimised for that very one, and thrown away when the worker's own
 * comes along: so there are two.
 */
const PLANES = 2;

/**
 * Makes the code of the data path fast before the first real request: V8 compiles and optimises what has run
 * often. Real connections over loopback pass through the same functions that traffic will use, but through data
 * planes of their own (`scratchPlane`), so that nothing of it is ever counted, logged or remembered. Takes CPU time
 * of this thread, and of V8's compiler threads.
 *
 * Resolves when all of it has been closed again. Rejects where loopback does not work as it should; the worker is
 * then cold, and otherwise as good as ever.
 */
export async function warmUp(options: WarmUpOptions): Promise<CrewResult> {
  const upstreams: Upstream[] = [];
  try {
    const web = await webUpstream();
    upstreams.push(web);
    const echo = await echoUpstream();
    upstreams.push(echo);
    return await run(options, { webPort: web.port, echoPort: echo.port });
  } finally {
    await Promise.all(upstreams.map((upstream) => upstream.close()));
  }
}

async function run(
  { config, policies, captured, limitMs, signal }: WarmUpOptions,
  ports: { readonly webPort: number; readonly echoPort: number },
): Promise<CrewResult> {
  const places = new WeakMap<Socket, HostPort>();
  const destination = { of: (socket: Socket) => places.get(socket) ?? null };
  const planes = Array.from({ length: PLANES }, () =>
    scratchPlane({ config, policies, ...ports, destination }),
  );
  let turn = 0;
  const gate = new Gate((socket, { destination: place }) => {
    if (place !== null) places.set(socket, place);
    planes[turn++ % PLANES]?.take(socket, place === null ? "explicit" : "captured");
  });
  let listener: Listener | null = null;
  try {
    listener = await listen(LOOPBACK, (socket) => gate.arrive(socket));
    const work = { port: listener.port, scripts: scripts(policies, captured), gate };
    return await new Crew({ ...work, limitMs, signal }).run();
  } finally {
    listener?.close();
    gate.close();
    await Promise.all(planes.map((plane) => plane.drain(0)));
  }
}
