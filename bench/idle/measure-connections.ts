import { setTimeout as delay } from "node:timers/promises";
import { Crew } from "../contestants/crew.ts";
import type { Address } from "../contestants/relay.ts";
import { countConnections } from "../measure/connections.ts";
import { readMemory } from "../measure/process-reading.ts";
import { type Found, startShared } from "../scale/start-shared.ts";
import { ask } from "./ask.ts";
import { holdConnections } from "./hold.ts";
import type { IdleLab } from "./idle-lab.ts";

/** Requests before the connections, so that what grows once for all is not put down to them. */
const REQUESTS_BEFORE = 2_000;

/** PSS by which a fresh proxy grows with so many idle client connections, divided by them. */
export async function measureConnections(
  lab: IdleLab,
  found: Found,
  app: Address,
  connections: number,
  round: number,
): Promise<number> {
  const { bench, site, configFolder, protocol, settleMs, signal } = lab;
  const name = `${found.peer}, ${connections} idle connections, round ${round + 1}`;
  lab.onProgress(name);
  const crew = await Crew.open({ bench, site, name, configFolder });
  const services = [{ name: "web-0", endpoints: [app] }];
  const { targets, proxies } = await startShared(crew, found, {
    services,
    called: 1,
    active: 1,
    idle: connections,
    workers: 1,
    protocol,
  });
  const [target] = targets;
  if (target === undefined) throw new Error(`${name} has no target`);
  await ask(target, protocol, REQUESTS_BEFORE);
  await delay(settleMs, undefined, { signal });
  const roots = proxies.map(({ pid }) => pid);
  const before = await readMemory(roots);
  await holdConnections(bench, site, target, { connections, protocol });
  await delay(settleMs, undefined, { signal });
  const after = await readMemory(roots);
  const open = await countConnections(roots);
  if (open < connections) {
    throw new Error(`${name}: only ${open} of ${connections} connections are still open`);
  }
  return (after.pssBytes - before.pssBytes) / connections;
}
