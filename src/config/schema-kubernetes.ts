import * as z from "zod";

/** Part of the section `registry`. */
export const registrySource = {
  source: z
    .enum(["store", "kubernetes"])
    .default("store")
    .describe(
      "What fills the registry. store: its API, kept in a file of dataDir. kubernetes: the API server of a cluster, see the section kubernetes; services, endpoints, workloads and resources are then changed there, and nothing but certificates and keys is kept on disk.",
    ),
};

export const kubernetes = z
  .strictObject({
    kubeconfig: z
      .string()
      .default("")
      .describe(
        "Kubeconfig by which the API server is reached. Default: $KUBECONFIG, else the pod's own service account, else ~/.kube/config.",
      ),
    context: z
      .string()
      .default("")
      .describe("Context of the kubeconfig. Default: its current one."),
    namespace: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "a namespace such as hostmesh-system")
      .default("hostmesh-system")
      .describe(
        "Where the mesh itself runs: its daemons are looked for there, and its own pods are never part of the mesh.",
      ),
    enrol: z
      .enum(["labelled", "all"])
      .default("labelled")
      .describe(
        "Which pods are part of the mesh. labelled: those with the label hostmesh.io/inject: enabled, or in a namespace that has it. all: every pod but those of kube-system. Either way the label or the annotation hostmesh.io/inject: disabled keeps a pod out, and pods with the host's network are out.",
      ),
    recogniseLabels: z
      .array(z.enum(["istio", "linkerd"]))
      .default([])
      .describe(
        "Other meshes whose labels and annotations of namespaces and pods count like ours, for the time of a migration. istio: istio-injection, istio.io/rev (of namespaces), istio.io/dataplane-mode, sidecar.istio.io/inject. linkerd: linkerd.io/inject.",
      ),
    writeStatus: z
      .enum(["on", "off"])
      .default("on")
      .describe(
        "on: the replica that leads tells in the status of routes, policies and the like what the mesh makes of them, and by Events what it refuses.",
      ),
  })
  .prefault({})
  .describe("The cluster that fills the registry (registry.source: kubernetes).");
