import type { Crew } from "./crew.ts";
import type { Program } from "./program.ts";
import { type ProxyPlan, slug } from "./relay.ts";

/** Writes a plan in the program's own language and starts it. Returns its process id before it answers. */
export async function startProxy(
  crew: Crew,
  program: Program,
  plan: Omit<ProxyPlan, "scratch">,
): Promise<number> {
  const { role, place, connections } = plan;
  const full: ProxyPlan = { ...plan, scratch: await crew.scratch(role) };
  const file = await crew.keep(`${slug(role)}.${program.ending}`, program.config(full));
  const command = program.command(file, full);
  return crew.start({ role, place, cpus: "proxy", command, connections });
}
