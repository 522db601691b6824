import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../helpers/until.ts";
import { type Program, Script } from "../netns/helpers/program.ts";
import { MESH_NAMESPACE } from "./install.ts";
import type { Image, PodPlace, PodProgram } from "./kubelet.ts";
import { pathOf } from "./objects.ts";

/** What the published tests of Gateway API have in their pods. */
const PUBLISHED_ECHO = "gateway-api/echo-advanced:v1.5.1";

/** What runs in the pods of the lab, by the name of the image without that of its registry. */
export interface Images {
  readonly images: Readonly<Record<string, Image>>;
  /** Programs of running pods, `namespace/name`; of hosts, daemons by the name of the node. */
  readonly scripts: Map<string, { readonly script: Script; readonly place: PodPlace }>;
  readonly daemons: Map<string, { readonly program: Program; readonly place: PodPlace }>;
}

export interface DaemonImage {
  /** Of the registry's replicas, as `registry.urls` has them. */
  readonly registries: () => readonly string[];
  /** Settings, as `path=value`. */
  readonly set: readonly string[];
}

export function makeImages(daemon: DaemonImage): Images {
  const scripts: Images["scripts"] = new Map();
  const daemons: Images["daemons"] = new Map();
  const script =
    (program: string, isNamed = true): Image =>
    async (place) => {
      const { name, namespace } = place.pod.metadata;
      const args: string[] = place.pod["spec"].containers[0].args ?? [];
      if (place.container === null) throw new Error(`${name} cannot be on the host's network`);
      const all = isNamed ? [name, ...args] : args;
      const started = await Script.start(place.container.namespace, program, all);
      const key = `${namespace}/${name}`;
      scripts.set(key, { script: started, place });
      return stopping(started, () => {
        if (scripts.get(key)?.script === started) scripts.delete(key);
      });
    };
  const images = {
    ...{ server: script("pod-app"), client: script("agent"), prober: script("prober", false) },
    ...{ echo: script("mesh-echo"), [PUBLISHED_ECHO]: script("mesh-echo") },
    "hostmesh-daemon": async (place: PodPlace) => {
      const program = await startDaemon(place, daemon);
      daemons.set(place.node.name, { program, place });
      const running = stopping(program, () => daemons.delete(place.node.name));
      return {
        async stop(graceMs: number) {
          // As the DaemonSet's preStop has it; a program that has ended has none.
          const release = ["iptables", "release", "--wait", "2s"];
          if (program.running) await place.node.cli(release).end();
          await running.stop(graceMs);
        },
      };
    },
  };
  return { images, scripts, daemons };
}

/** `hostmesh daemon` as the DaemonSet runs it, with what its volumes bring. */
async function startDaemon(place: PodPlace, { registries, set }: DaemonImage): Promise<Program> {
  const { node, folder } = place;
  const settings = [
    ...["ports.bind=0.0.0.0", "timeouts.warmUpMs=0", "identity.mode=required"],
    `identity.joinTokenFile=${await place.token("hostmesh")}`,
    `identity.anchorsFile=${await mountTrust(place)}`,
    ...set,
  ];
  const program = node.cli([
    ...["daemon", "--host", node.name, "--registry", registries().join(",")],
    ...["--data", join(folder, "data"), "--capture", "tproxy"],
    ...settings.flatMap((setting) => ["--set", setting]),
  ]);
  await program.said(/capturing connections of local workloads/, 60_000);
  return program;
}

/** The volume of the ConfigMap with the registry's authorities. The kubelet may read it once the pod is known to be its own. */
async function mountTrust({ client, folder }: PodPlace): Promise<string> {
  const path = pathOf("v1", "ConfigMap", { namespace: MESH_NAMESPACE, name: "hostmesh-trust" });
  let anchors: string | undefined;
  const isThere = async () => {
    const { status, body } = await client.call("GET", path);
    if (status === 200) anchors = body.data?.["anchors.pem"];
    return anchors !== undefined;
  };
  await until(isThere, { timeoutMs: 30_000, what: "the ConfigMap hostmesh-trust" });
  const file = join(folder, "anchors.pem");
  writeFileSync(file, anchors ?? "");
  return file;
}

/** SIGTERM, and SIGKILL to it and its children after the grace. */
function stopping(program: Program, ended: () => void): PodProgram {
  return {
    async stop(graceMs) {
      const timer = new AbortController();
      const late = delay(graceMs, "late", { signal: timer.signal }).catch(() => "ended");
      const result = await Promise.race([program.end("SIGTERM"), late]);
      timer.abort();
      if (result === "late") await program.killTree();
      ended();
    },
  };
}
