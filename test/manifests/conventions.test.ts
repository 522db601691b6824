import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parse } from "yaml";
import * as z from "zod";
import type { DaemonStart } from "../../src/cli/daemon-start.ts";
import { buildProgram } from "../../src/cli/program.ts";
import { type Config, configSchema } from "../../src/config/schema.ts";
import { PORTS } from "../../src/install/objects/names.ts";
import type { InstallObject } from "../../src/install/resolve.ts";
import { objectsOf, ROOT, VARIANTS } from "../install/variants.ts";
import { GUARDIAN_CAPABILITIES } from "../netns/helpers/mesh.ts";

/** What these tests read of a workload; the rest of it is the business of `schema.test.ts`. */
const container = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()).default([]),
  env: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })).default([]),
  ports: z.array(z.looseObject({ name: z.string(), containerPort: z.number() })).default([]),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
  securityContext: z.looseObject({
    runAsUser: z.number().optional(),
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.looseObject({
      drop: z.tuple([z.literal("ALL")]),
      add: z.array(z.string()).default([]),
    }),
  }),
});
type Container = z.infer<typeof container>;
const workload = z.looseObject({
  spec: z.looseObject({
    selector: z.looseObject({ matchLabels: z.record(z.string(), z.string()) }),
    template: z.looseObject({
      metadata: z.looseObject({
        labels: z.record(z.string(), z.string()),
        annotations: z.record(z.string(), z.string()),
      }),
      spec: z.looseObject({
        hostNetwork: z.boolean().default(false),
        serviceAccountName: z.string(),
        automountServiceAccountToken: z.literal(false),
        enableServiceLinks: z.literal(false),
        terminationGracePeriodSeconds: z.number(),
        securityContext: z.looseObject({
          runAsNonRoot: z.boolean().default(false),
          fsGroup: z.number(),
        }),
        initContainers: z.array(container).default([]),
        containers: z.tuple([container]),
        volumes: z.array(z.looseObject({ name: z.string() })),
      }),
    }),
  }),
});
const labelled = z.looseObject({ labels: z.record(z.string(), z.string()) });
const httpGet = z.looseObject({
  host: z.string().optional(),
  path: z.string(),
  port: z.union([z.number(), z.string()]),
});
const service = z.looseObject({
  spec: z.looseObject({
    selector: z.record(z.string(), z.string()),
    ports: z.array(z.looseObject({ port: z.number(), targetPort: z.string() })),
  }),
});
const configMap = z.looseObject({ data: z.strictObject({ "hostmesh.yaml": z.string() }) });

const ofKind = (objects: readonly InstallObject[], ...kinds: string[]) =>
  objects.filter(({ kind }) => kinds.includes(kind));

function named(objects: readonly InstallObject[], kind: string, name: string): InstallObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  assert.ok(found !== undefined, `${kind} ${name}`);
  return found;
}

function daemonOf(objects: readonly InstallObject[]) {
  const { spec } = workload.parse(named(objects, "DaemonSet", "hostmesh-daemon"));
  return { spec, pod: spec.template.spec, main: spec.template.spec.containers[0] };
}

function registryOf(objects: readonly InstallObject[]) {
  const { spec } = workload.parse(named(objects, "Deployment", "hostmesh-registry"));
  return { spec, pod: spec.template.spec, main: spec.template.spec.containers[0] };
}

/** The settings as the program reads them: of its options, of the environment and of the file. */
async function settingsOfDaemon(
  t: TestContext,
  objects: readonly InstallObject[],
): Promise<DaemonStart> {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-conventions-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { main } = daemonOf(objects);
  const file = join(folder, "hostmesh.yaml");
  const { data } = configMap.parse(named(objects, "ConfigMap", "hostmesh-daemon"));
  writeFileSync(file, data["hostmesh.yaml"]);
  const quiet = { color: false, isTerminal: false, width: () => 80, line() {}, write() {} };
  const started = Promise.withResolvers<DaemonStart>();
  const program = buildProgram(
    quiet,
    quiet,
    () => {},
    async (start) => {
      started.resolve(start);
      return 0;
    },
  );
  const before = { ...process.env };
  for (const { name, value = "node-1" } of main.env) process.env[name] = value;
  try {
    const args = main.args.map((arg) => arg.replace("/etc/hostmesh/hostmesh.yaml", file));
    await program.parseAsync(args, { from: "user" });
  } finally {
    for (const { name } of main.env) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
  return started.promise;
}

/** The number of a container's port that is given by number or by name. */
function portOf(from: Container, port: number | string): number | undefined {
  if (typeof port === "number") return port;
  return from.ports.find(({ name }) => name === port)?.containerPort;
}

const isSubset = (part: Record<string, string>, whole: Record<string, string>) =>
  Object.entries(part).every(([key, value]) => whole[key] === value);

test("the ports of the manifests are those of the settings", () => {
  const { ports, mesh, registry } = configSchema.parse({});
  assert.deepEqual(PORTS, {
    ...{ explicit: ports.explicit, mesh: mesh.port, admin: ports.admin },
    ...{ metrics: ports.metrics, ready: ports.ready },
    ...{ registry: registry.port, registryTls: registry.tlsPort },
    registryMetrics: registry.metricsPort,
  });
});

for (const [variant, values] of Object.entries(VARIANTS)) {
  const objects = objectsOf(values);

  test(`${variant}: every object is labelled, and in the namespace where it can be`, () => {
    for (const { kind, metadata } of objects) {
      const where = `${kind} ${metadata.name}`;
      const { labels } = labelled.parse(metadata);
      assert.equal(labels["app.kubernetes.io/name"], "hostmesh", where);
      assert.equal(labels["app.kubernetes.io/instance"], "hostmesh", where);
      assert.equal(labels["app.kubernetes.io/part-of"], "hostmesh", where);
      assert.equal(labels["app.kubernetes.io/managed-by"], "hostmesh", where);
      assert.ok(labels["app.kubernetes.io/version"], where);
      const isOfCluster = ["Namespace", "ClusterRole", "ClusterRoleBinding"].includes(kind);
      assert.equal(metadata.namespace, isOfCluster ? undefined : "hostmesh-system", where);
      if (kind !== "Namespace") assert.ok(labels["app.kubernetes.io/component"], where);
    }
  });

  test(`${variant}: selectors meet the pods of one workload, and services its named ports`, () => {
    const workloads = ofKind(objects, "Deployment", "DaemonSet").map((o) => workload.parse(o).spec);
    assert.equal(workloads.length, 2);
    for (const { selector, template } of workloads) {
      assert.ok(isSubset(selector.matchLabels, template.metadata.labels));
      const others = workloads.filter((other) => other.template !== template);
      assert.ok(others.every((o) => !isSubset(selector.matchLabels, o.template.metadata.labels)));
    }
    const services = ofKind(objects, "Service");
    assert.ok(services.length > 0);
    for (const object of services) {
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

  test(`${variant}: the daemon understands its options and settings, and they agree with its pod`, async (t) => {
    const { pod, main } = daemonOf(objects);
    const { config } = await settingsOfDaemon(t, objects);
    const { ports, registry, mesh, timeouts, capture, identity } = config;
    assert.deepEqual(
      main.ports.map(({ containerPort }) => containerPort),
      [ports.explicit, mesh.port, ports.metrics, ports.ready],
    );
    assert.equal(config.host, "node-1");
    assert.deepEqual(registry.urls, ["https://hostmesh-registry.hostmesh-system.svc:15012"]);
    const mounted = (path: string) =>
      main.volumeMounts.some(({ mountPath }) => path.startsWith(`${mountPath}/`));
    assert.ok(mounted(`${config.dataDir}/snapshot.json`));
    assert.ok(mounted(identity.joinTokenFile) && mounted(identity.anchorsFile));
    assertStopsInTime(main, pod.terminationGracePeriodSeconds, timeouts.drainMs);
    const captures = capture.mode !== "explicit";
    assert.equal(pod.hostNetwork, captures);
    assert.equal(ports.bind, captures ? "127.0.0.1" : "0.0.0.0");
    assertPrivileges(config, pod, main);
  });

  test(`${variant}: probes ask ports that are open where the kubelet asks`, async (t) => {
    const { pod, main } = daemonOf(objects);
    const { config } = await settingsOfDaemon(t, objects);
    for (const name of ["startupProbe", "readinessProbe", "livenessProbe"]) {
      const probe = z.looseObject({
        httpGet: httpGet.optional(),
        tcpSocket: z.unknown().optional(),
      });
      const { httpGet: asked, tcpSocket } = probe.parse(main[name]);
      assert.equal(asked === undefined, tcpSocket !== undefined, name);
      if (asked === undefined) continue;
      const { admin, ready } = config.ports;
      assert.equal(asked.port, asked.path === "/healthz" ? admin : ready, `${name} ${asked.path}`);
      // On the node's network a probe without a host goes to the node's address, where admin is not.
      assert.equal(asked.host, pod.hostNetwork ? "127.0.0.1" : undefined);
      if (!pod.hostNetwork) assert.notEqual(asked.port, admin);
      const registryProbe = z.looseObject({ httpGet: httpGet.extend({ scheme: z.string() }) });
      const ofRegistry = registryProbe.parse(registryOf(objects).main[name]).httpGet;
      assert.deepEqual([ofRegistry.path, ofRegistry.scheme], ["/healthz", "HTTPS"]);
      assert.equal(portOf(registryOf(objects).main, ofRegistry.port), config.registry.tlsPort);
    }
    const { annotations } = daemonOf(objects).spec.template.metadata;
    assert.equal(annotations["prometheus.io/port"], String(config.ports.metrics));
  });

  test(`${variant}: the registry has no privilege and opens no port to operators`, () => {
    const { pod, main } = registryOf(objects);
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.deepEqual(main.securityContext.capabilities.add, []);
    assert.deepEqual(
      main.ports.map(({ containerPort }) => containerPort),
      [PORTS.registryTls, PORTS.registryMetrics],
    );
    assert.equal(
      main.env.find(({ name }) => name === "HOSTMESH_REGISTRY_BIND"),
      undefined,
    );
  });

  test(`${variant}: a pod has no token but what it needs`, () => {
    for (const account of ofKind(objects, "ServiceAccount")) {
      assert.equal(account["automountServiceAccountToken"], false);
    }
    const token = z.looseObject({
      projected: z.looseObject({
        sources: z.array(
          z.looseObject({ serviceAccountToken: z.record(z.string(), z.unknown()).optional() }),
        ),
      }),
    });
    const tokensOf = (volumes: readonly object[]) =>
      volumes.flatMap((volume) => {
        const { data } = token.safeParse(volume);
        return data?.projected.sources.flatMap((source) => source.serviceAccountToken ?? []) ?? [];
      });
    const { pod } = daemonOf(objects);
    // For the registry alone: the API server takes no token that is for another audience.
    assert.deepEqual(tokensOf(pod.volumes), [
      { path: "token", audience: "hostmesh", expirationSeconds: 3_600 },
    ]);
    assert.equal(tokensOf(registryOf(objects).pod.volumes).length, 1);
  });
}

/** The wait before the stop, the drain, and two seconds for what does not end. */
function assertStopsInTime(main: Container, graceSeconds: number, drainMs: number): void {
  const hooks = z.looseObject({
    preStop: z.looseObject({ exec: z.looseObject({ command: z.array(z.string()) }) }),
  });
  const { command } = hooks.parse(main["lifecycle"]).preStop.exec;
  const wait = /^(\d+)s$/.exec(command.at(-1) ?? "")?.[1];
  assert.ok(graceSeconds * 1_000 > Number(wait) * 1_000 + drainMs + 2_000, "grace");
  assert.deepEqual(command.slice(0, -1), ["hostmesh", "iptables", "release", "--wait"]);
}

test("what runs before a stop is a command, with that option", () => {
  const args = [join(ROOT, "src/cli/main.ts"), "iptables", "release", "--help"];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.equal(status, 0);
  assert.match(stdout, /--wait <duration>/);
});

/** Only what captures has a privilege, and then the guardian alone. */
function assertPrivileges(
  { capture, user }: Config,
  pod: z.infer<typeof workload>["spec"]["template"]["spec"],
  main: Container,
): void {
  if (capture.mode === "explicit") {
    assert.equal(user, "");
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.deepEqual(main.securityContext.capabilities.add, []);
    assert.deepEqual(pod.initContainers, []);
    assert.deepEqual(
      pod.volumes.filter((volume) => "hostPath" in volume),
      [],
    );
    return;
  }
  const [uid, gid] = user.split(":");
  assert.equal(uid, gid);
  // The kubelet makes the token readable for this group, which the data path has.
  assert.equal(pod.securityContext.fsGroup, Number(gid));
  const names = GUARDIAN_CAPABILITIES.map((name) => name.toUpperCase());
  assert.deepEqual(main.securityContext.capabilities.add, names);
  const [folder] = pod.initContainers;
  assert.deepEqual(folder?.["command"], ["chown", user, "/run/hostmesh"]);
  assert.deepEqual(folder?.securityContext.capabilities.add, ["CHOWN"]);
}

// The settings of the section `kubernetes` come with the registry that reads it.
const readsKubernetes = {
  skip: "kubernetes" in configSchema.shape ? false : "the registry has no source of that name yet",
};

test("the registry understands its options and settings", readsKubernetes, () => {
  for (const values of Object.values(VARIANTS)) {
    const objects = objectsOf(values);
    const { data } = configMap.parse(named(objects, "ConfigMap", "hostmesh-registry"));
    configSchema.parse(parse(data["hostmesh.yaml"]));
    const { main } = registryOf(objects);
    const [command, ...args] = main.args;
    assert.equal(command, "registry");
    const help = spawnSync(
      process.execPath,
      [join(ROOT, "src/cli/main.ts"), "registry", "--help"],
      {
        encoding: "utf8",
      },
    );
    for (const option of args.filter((arg) => arg.startsWith("--"))) {
      assert.match(help.stdout, new RegExp(`^ +${option} <`, "m"));
    }
  }
});

test("no file holds a secret", () => {
  const files = globSync("manifests/**/*.{yaml,service,json,txt}", { cwd: ROOT });
  assert.ok(files.length > 10);
  const suspicious = files.flatMap((file) =>
    readFileSync(join(ROOT, file), "utf8")
      .split("\n")
      .filter((line) => /PRIVATE KEY|password|bearer|secretKeyRef|secretName/i.test(line))
      .map((line) => `${file}: ${line}`),
  );
  assert.deepEqual(suspicious, []);
});
