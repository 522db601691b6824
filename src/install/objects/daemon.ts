import {
  all,
  choice,
  differs,
  digest,
  entriesOf,
  equals,
  isSet,
  type Manifest,
  NAMESPACE_PATH,
  number,
  optional,
  type Template,
  type TemplateMap,
  text,
  value,
  yaml,
} from "../template.ts";
import { OWN_OBJECTS } from "./access.ts";
import { DAEMON, image, metadata, PORTS, podLabels, REGISTRY, selectorLabels } from "./names.ts";
import { podMonitor } from "./pod-monitor.ts";
import { field } from "./registry.ts";

const CAPTURES = differs("captureMode", "explicit");
const EXPLICIT = equals("captureMode", "explicit");

/**
 * On the node, in memory: the last snapshot outlives the pod, so that a daemon starts with the registry gone; the host's
 * key never comes to a disk; and nothing of either is left after the next boot, when the pods have other addresses.
 */
const DATA = "/run/hostmesh";
const TOKEN_FOLDER = "/var/run/secrets/hostmesh/token";
const TRUST_FOLDER = "/var/run/secrets/hostmesh/trust";
/** The image's user. It is whose group the token is readable for. */
const IMAGE_USER = 1_000;
const HARDENED = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true };

/** The daemon of every node. */
export function daemonManifests(version: string): Manifest[] {
  return [
    config(version),
    quota(version),
    explicitProxy(version),
    daemonSet(version),
    podMonitor("daemon", version),
  ];
}

function config(version: string): Manifest {
  return {
    file: "daemon-config",
    object: {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: metadata(DAEMON, "daemon", version),
      data: { "hostmesh.yaml": yaml("daemon.settings") },
    },
  };
}

function quota(version: string): Manifest {
  return {
    file: "daemon-resource-quota",
    when: isSet("daemon.resourceQuota.enabled"),
    object: {
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: metadata("hostmesh-critical", "daemon", version),
      spec: {
        // A ceiling for the count of nodes, not a reservation.
        hard: { pods: "5000" },
        scopeSelector: {
          matchExpressions: [
            {
              scopeName: "PriorityClass",
              operator: "In",
              values: ["system-node-critical", "system-cluster-critical"],
            },
          ],
        },
      },
    },
  };
}

/** Where nothing is captured, programs are told of this name. */
function explicitProxy(version: string): Manifest {
  return {
    file: "daemon-service",
    when: EXPLICIT,
    object: {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadata("hostmesh-proxy", "daemon", version),
      spec: {
        // Never the daemon of another node: it knows the callers of its own host only.
        internalTrafficPolicy: "Local",
        selector: selectorLabels("daemon"),
        ports: [
          { name: "http-proxy", port: PORTS.explicit, targetPort: "explicit", appProtocol: "http" },
        ],
      },
    },
  };
}

function daemonSet(version: string): Manifest {
  return {
    file: "daemon-daemonset",
    object: {
      apiVersion: "apps/v1",
      kind: "DaemonSet",
      metadata: metadata(DAEMON, "daemon", version),
      spec: {
        selector: { matchLabels: selectorLabels("daemon") },
        updateStrategy: {
          type: "RollingUpdate",
          rollingUpdate: { maxUnavailable: value("daemon.maxUnavailable") },
        },
        template: {
          metadata: {
            labels: podLabels("daemon"),
            annotations: {
              "checksum/config": digest("daemon.settings"),
              "prometheus.io/scrape": "true",
              "prometheus.io/port": String(PORTS.metrics),
              "prometheus.io/path": "/metrics",
              ...entriesOf("daemon.podAnnotations"),
            },
          },
          spec: podSpec(),
        },
      },
    },
  };
}

function podSpec(): TemplateMap {
  return {
    serviceAccountName: DAEMON,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    imagePullSecrets: optional("imagePullSecrets"),
    hostNetwork: choice(CAPTURES, true),
    dnsPolicy: choice(CAPTURES, "ClusterFirstWithHostNet", "ClusterFirst"),
    priorityClassName: choice(isSet("daemon.priorityClassName"), value("daemon.priorityClassName")),
    terminationGracePeriodSeconds: value("daemon.terminationGracePeriodSeconds"),
    nodeSelector: { "kubernetes.io/os": "linux", ...entriesOf("daemon.nodeSelector") },
    affinity: optional("daemon.affinity"),
    tolerations: optional("daemon.tolerations"),
    securityContext: choice(CAPTURES, podSecurity(number("daemon.user")), {
      runAsNonRoot: true,
      runAsUser: IMAGE_USER,
      runAsGroup: IMAGE_USER,
      ...podSecurity(IMAGE_USER),
    }),
    initContainers: choice(CAPTURES, [dataFolder()]),
    containers: [container()],
    volumes: volumes(),
  };
}

/** The kubelet gives tokens to this group, beside the user that a container begins with. */
function podSecurity(group: Template): TemplateMap {
  return { fsGroup: group, seccompProfile: { type: "RuntimeDefault" } };
}

/** Gives the data folder to the data path's user, so that nobody who runs longer needs the right to do so. */
function dataFolder(): TemplateMap {
  return {
    name: "data-folder",
    image,
    imagePullPolicy: value("image.pullPolicy"),
    command: ["chown", text(number("daemon.user"), ":", number("daemon.user")), DATA],
    securityContext: {
      ...{ runAsUser: 0, runAsGroup: 0, ...HARDENED },
      capabilities: { drop: ["ALL"], add: ["CHOWN"] },
    },
    resources: optional("daemon.resources"),
    volumeMounts: [{ name: "data", mountPath: DATA }],
  };
}

function container(): TemplateMap {
  return {
    name: "daemon",
    image,
    imagePullPolicy: value("image.pullPolicy"),
    args: [
      ...["daemon", "--config", "/etc/hostmesh/hostmesh.yaml", "--data", DATA, "--capture"],
      value("captureMode"),
      "--registry",
      text(`https://${REGISTRY}.`, value(NAMESPACE_PATH), `.svc:${PORTS.registryTls}`),
      choice(CAPTURES, "--user"),
      choice(CAPTURES, text(number("daemon.user"), ":", number("daemon.user"))),
    ],
    env: [
      field("HOSTMESH_HOST", "spec.nodeName"),
      { name: "HOSTMESH_IDENTITY_TRUST_DOMAIN", value: value("trustDomain") },
      { name: "HOSTMESH_IDENTITY_JOIN_TOKEN_FILE", value: `${TOKEN_FOLDER}/token` },
      { name: "HOSTMESH_IDENTITY_ANCHORS_FILE", value: `${TRUST_FOLDER}/anchors.pem` },
      choice(EXPLICIT, { name: "HOSTMESH_PORTS_BIND", value: "0.0.0.0" }),
      all("daemon.extraEnv"),
    ],
    ports: [
      { name: "explicit", containerPort: PORTS.explicit },
      { name: "mesh", containerPort: PORTS.mesh },
      { name: "metrics", containerPort: PORTS.metrics },
      { name: "ready", containerPort: PORTS.ready },
    ],
    ...probes(),
    lifecycle: {
      preStop: {
        exec: {
          command: [
            ...["hostmesh", "iptables", "release", "--wait"],
            text(number("daemon.preStopSeconds"), "s"),
          ],
        },
      },
    },
    // No limit of CPU by default: throttling the daemon would stall every container of the node.
    resources: optional("daemon.resources"),
    securityContext: choice(CAPTURES, guardianSecurity(), {
      ...HARDENED,
      capabilities: { drop: ["ALL"] },
    }),
    volumeMounts: [
      { name: "config", mountPath: "/etc/hostmesh", readOnly: true },
      { name: "token", mountPath: TOKEN_FOLDER, readOnly: true },
      { name: "trust", mountPath: TRUST_FOLDER, readOnly: true },
      { name: "data", mountPath: DATA },
      choice(CAPTURES, { name: "xtables-lock", mountPath: "/run/xtables.lock" }),
      { name: "tmp", mountPath: "/tmp" },
    ],
  };
}

/**
 * Of the guardian. NET_ADMIN: rules, sets, routes and transparent sockets; NET_RAW: the socket of iptables-legacy; SETUID and
 * SETGID: it starts the data path as a user without any capability; KILL: it ends one that hangs.
 */
function guardianSecurity(): TemplateMap {
  return {
    ...{ runAsUser: 0, runAsGroup: 0, ...HARDENED },
    capabilities: {
      drop: ["ALL"],
      add: ["NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "KILL"],
    },
  };
}

/**
 * On the host's network the kubelet is on the loopback that the admin API listens to. In a network of its own it is not:
 * then the slow probes, which find a process that does nothing, ask for readiness's open port.
 */
function probes(): TemplateMap {
  const alive = choice(CAPTURES, { host: "127.0.0.1", path: "/healthz", port: PORTS.admin });
  const open = choice(EXPLICIT, { port: "ready" });
  const ready = { path: "/healthz/ready", port: PORTS.ready };
  return {
    startupProbe: { httpGet: alive, tcpSocket: open, periodSeconds: 1, failureThreshold: 60 },
    // A real request through the data path.
    readinessProbe: {
      httpGet: choice(CAPTURES, { host: "127.0.0.1", ...ready }, ready),
      ...{ periodSeconds: 5, timeoutSeconds: 2 },
    },
    // The guardian replaces what dies, so this one is slow. Being unready is no reason to be ended.
    livenessProbe: {
      ...{ httpGet: alive, tcpSocket: open },
      ...{ periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
    },
  };
}

function volumes(): Template {
  return [
    { name: "config", configMap: { name: DAEMON } },
    {
      name: "token",
      projected: {
        sources: [
          {
            serviceAccountToken: { path: "token", audience: "hostmesh", expirationSeconds: 3_600 },
          },
        ],
      },
    },
    // The registry publishes its roots at its first start; the daemon waits for them.
    { name: "trust", configMap: { name: OWN_OBJECTS.trust, optional: true } },
    choice(
      CAPTURES,
      { name: "data", hostPath: { path: DATA, type: "DirectoryOrCreate" } },
      { name: "data", emptyDir: { medium: "Memory" } },
    ),
    // Shared with every other program that changes the node's rules.
    choice(CAPTURES, {
      name: "xtables-lock",
      hostPath: { path: "/run/xtables.lock", type: "FileOrCreate" },
    }),
    { name: "tmp", emptyDir: {} },
  ];
}
