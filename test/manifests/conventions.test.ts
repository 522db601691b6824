import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import * as z from "zod";
import { configSchema } from "../../src/config/schema.ts";
import { KUSTOMIZATIONS, type KubeObject, needsKubectl, ROOT, render } from "./render.ts";

/** What these tests read of a workload; the rest of it is the business of `schema.test.ts`. */
const container = z.looseObject({
  image: z.string(),
  args: z.array(z.string()),
  ports: z.array(z.looseObject({ name: z.string(), containerPort: z.number() })),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
  securityContext: z.looseObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.looseObject({
      drop: z.tuple([z.literal("ALL")]),
      add: z.array(z.string()).default([]),
    }),
  }),
});
const workload = z.looseObject({
  spec: z.looseObject({
    selector: z.looseObject({ matchLabels: z.record(z.string(), z.string()) }),
    template: z.looseObject({
      metadata: z.looseObject({
        labels: z.record(z.string(), z.string()),
        annotations: z.record(z.string(), z.string()).default({}),
      }),
      spec: z.looseObject({
        hostNetwork: z.boolean().default(false),
        serviceAccountName: z.string(),
        automountServiceAccountToken: z.literal(false),
        terminationGracePeriodSeconds: z.number(),
        containers: z.tuple([container]),
        volumes: z.array(
          z.looseObject({
            name: z.string(),
            configMap: z.looseObject({ name: z.string() }).optional(),
          }),
        ),
      }),
    }),
  }),
});
const probe = z.union([
  z.looseObject({
    httpGet: z.looseObject({
      host: z.string().optional(),
      path: z.string(),
      port: z.union([z.number(), z.string()]),
    }),
  }),
  z.looseObject({ tcpSocket: z.looseObject({ port: z.union([z.number(), z.string()]) }) }),
]);
const service = z.looseObject({
  spec: z.looseObject({
    selector: z.record(z.string(), z.string()),
    ports: z.array(z.looseObject({ port: z.number(), targetPort: z.string() })),
  }),
});
const configMap = z.looseObject({ data: z.strictObject({ "hostmesh.yaml": z.string() }) });

const packageJson = z.object({ version: z.string() });
const { version } = packageJson.parse(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")));

const ofKind = (objects: readonly KubeObject[], ...kinds: string[]) =>
  objects.filter(({ kind }) => kinds.includes(kind));

/** A workload with the settings that it mounts, as the program will read them. */
function readWorkload(objects: readonly KubeObject[], name: string) {
  const found = ofKind(objects, "Deployment", "DaemonSet").find((o) => o.metadata.name === name);
  const { spec } = workload.parse(found);
  const pod = spec.template.spec;
  const mounted = pod.volumes.find((volume) => volume.configMap !== undefined)?.configMap?.name;
  const map = ofKind(objects, "ConfigMap").find(({ metadata }) => metadata.name === mounted);
  const config = configSchema.parse(parse(configMap.parse(map).data["hostmesh.yaml"]));
  return { spec, pod, container: pod.containers[0], config };
}

/** The number of a container's port that is given by number or by name. */
function portOf(from: z.infer<typeof container>, port: number | string): number | undefined {
  if (typeof port === "number") return port;
  return from.ports.find(({ name }) => name === port)?.containerPort;
}

const isSubset = (part: Record<string, string>, whole: Record<string, string>) =>
  Object.entries(part).every(([key, value]) => whole[key] === value);

for (const folder of KUSTOMIZATIONS) {
  const objects = needsKubectl.skip === false ? render(folder) : [];

  test(`${folder}: every object is labelled and in the namespace`, needsKubectl, () => {
    for (const { kind, metadata } of objects) {
      const where = `${kind} ${metadata.name}`;
      assert.equal(metadata.labels["app.kubernetes.io/name"], "hostmesh", where);
      assert.equal(metadata.labels["app.kubernetes.io/instance"], "hostmesh", where);
      assert.equal(metadata.labels["app.kubernetes.io/part-of"], "hostmesh", where);
      if (kind === "Namespace") assert.equal(metadata.name, "hostmesh");
      else assert.equal(metadata.namespace, "hostmesh", where);
    }
  });

  test(`${folder}: selectors meet the pods, and services the named ports`, needsKubectl, () => {
    const workloads = ofKind(objects, "Deployment", "DaemonSet").map((o) => workload.parse(o).spec);
    assert.equal(workloads.length, 2);
    for (const { selector, template } of workloads) {
      assert.ok(isSubset(selector.matchLabels, template.metadata.labels));
      const others = workloads.filter((other) => other.template !== template);
      assert.ok(others.every((o) => !isSubset(selector.matchLabels, o.template.metadata.labels)));
    }
    for (const object of ofKind(objects, "Service")) {
      const { selector, ports } = service.parse(object).spec;
      const [target, ...more] = workloads.filter((w) =>
        isSubset(selector, w.template.metadata.labels),
      );
      assert.ok(target !== undefined && more.length === 0);
      for (const { port, targetPort } of ports) {
        assert.equal(portOf(target.template.spec.containers[0], targetPort), port);
      }
    }
  });

  test(`${folder}: the settings are valid and agree with the pods`, needsKubectl, () => {
    const daemon = readWorkload(objects, "hostmesh-daemon");
    const registry = readWorkload(objects, "hostmesh-registry");
    for (const { container: main, config } of [daemon, registry]) {
      assert.equal(main.image, `hostmesh:${version}`);
      assert.ok(main.volumeMounts.some(({ mountPath }) => mountPath === config.dataDir));
    }
    const { ports, registry: client, mesh, timeouts, capture } = daemon.config;
    assert.deepEqual(
      daemon.container.ports.map(({ containerPort }) => containerPort),
      [ports.explicit, mesh.port, ports.metrics, ports.ready],
    );
    assert.ok(daemon.pod.terminationGracePeriodSeconds * 1_000 > timeouts.drainMs);
    assert.equal(daemon.pod.hostNetwork, capture.mode !== "explicit");
    assert.deepEqual(
      daemon.container.securityContext.capabilities.add,
      capture.mode === "explicit" ? [] : ["NET_ADMIN", "NET_RAW"],
    );
    assert.deepEqual(registry.container.securityContext.capabilities.add, []);
    const [registryService] = ofKind(objects, "Service").filter(
      ({ metadata }) => metadata.name === "hostmesh-registry",
    );
    const { name, namespace } = registryService?.metadata ?? {};
    assert.deepEqual(client.urls, [
      `http://${name}.${namespace}.svc:${registry.config.registry.port}`,
    ]);
    assert.equal(registry.config.registry.bind, "0.0.0.0");
    assert.equal(portOf(registry.container, "registry"), registry.config.registry.port);
    assert.equal(portOf(registry.container, "registry-tls"), registry.config.registry.tlsPort);
    if (client.tlsUrl !== "") {
      const { tlsPort } = registry.config.registry;
      assert.equal(client.tlsUrl, `https://${name}.${namespace}.svc:${tlsPort}`);
    }
    const { annotations } = daemon.spec.template.metadata;
    assert.equal(annotations["prometheus.io/port"], String(ports.metrics));
  });

  test(`${folder}: probes ask ports that the settings open`, needsKubectl, () => {
    const daemon = readWorkload(objects, "hostmesh-daemon");
    const registry = readWorkload(objects, "hostmesh-registry");
    const { ports } = daemon.config;
    for (const name of ["startupProbe", "readinessProbe", "livenessProbe"]) {
      const ofRegistry = z.object({
        httpGet: z.looseObject({ path: z.string(), port: z.string() }),
      });
      const { httpGet } = ofRegistry.loose().parse(registry.container[name]);
      assert.equal(httpGet.path, "/v1/mesh/status");
      assert.equal(portOf(registry.container, httpGet.port), registry.config.registry.port);

      const ofDaemon = probe.parse(daemon.container[name]);
      if (!("httpGet" in ofDaemon)) continue;
      const { host, path, port } = z
        .object({ host: z.string().optional(), path: z.string(), port: z.number() })
        .parse(ofDaemon.httpGet);
      assert.equal(port, path === "/healthz" ? ports.admin : ports.ready, `${name} ${path}`);
      // In the host's network a probe without a host goes to the node's address, where admin is not.
      assert.equal(host, daemon.pod.hostNetwork ? "127.0.0.1" : undefined);
      if (!daemon.pod.hostNetwork) assert.notEqual(port, ports.admin);
    }
  });

  test(`${folder}: holds no secret, no token and no right for the pods`, needsKubectl, () => {
    assert.deepEqual(ofKind(objects, "Secret", "ClusterRole", "ClusterRoleBinding"), []);
    const accounts = ofKind(objects, "ServiceAccount");
    assert.deepEqual(accounts.map(({ metadata }) => metadata.name).sort(), [
      "hostmesh-daemon",
      "hostmesh-registry",
    ]);
    for (const account of accounts) {
      assert.equal(account["automountServiceAccountToken"], false);
    }
    const subjects = z.looseObject({ subjects: z.array(z.looseObject({ kind: z.string() })) });
    for (const binding of ofKind(objects, "RoleBinding")) {
      for (const { kind } of subjects.parse(binding).subjects) assert.equal(kind, "Group");
    }
    for (const name of ["hostmesh-daemon", "hostmesh-registry"]) {
      assert.equal(readWorkload(objects, name).pod.serviceAccountName, name);
    }
  });
}

test("no file holds a secret", () => {
  const files = globSync("manifests/**/*.{yaml,service}", { cwd: ROOT });
  assert.ok(files.length > 10);
  const suspicious = files.flatMap((file) =>
    readFileSync(join(ROOT, file), "utf8")
      .split("\n")
      .filter((line) => /PRIVATE KEY|password|bearer|secretKeyRef|secretName/i.test(line))
      .map((line) => `${file}: ${line}`),
  );
  assert.deepEqual(suspicious, []);
});

test("the commands of the manifests exist, with the options that they are given", () => {
  for (const command of ["daemon", "registry"]) {
    const args = [join(ROOT, "src/cli/main.ts"), command, "--help"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /--config <file>/);
  }
});
