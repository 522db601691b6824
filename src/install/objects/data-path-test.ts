import {
  choice,
  differs,
  type Manifest,
  onlyIn,
  optional,
  type TemplateMap,
  value,
} from "../template.ts";
import { image, metadata, PORTS } from "./names.ts";
import { field } from "./registry.ts";

const CAPTURES = differs("captureMode", "explicit");

/** A request through a data path, as the daemon's own readiness makes one. Its end code is the verdict. */
const SCRIPT = [
  'const { get } = require("node:http");',
  "const { ADDRESS: host, PORT: port, TARGET: path } = process.env;",
  "const fail = (why) => { console.error(String(why)); process.exit(1); };",
  'const options = { host, port, path, headers: { host: "hostmesh.internal" }, timeout: 10000 };',
  "const answered = (answer) => {",
  "  answer.pipe(process.stdout);",
  '  if (answer.statusCode !== 200) fail("the data path does not serve");',
  "};",
  'get(options, answered).on("error", fail).on("timeout", () => fail("no answer in 10 s"));',
].join("\n");

/** `helm test`: asks the daemon of the node on which it happens to run. */
export function dataPathTest(version: string): Manifest {
  return {
    file: "tests/data-path",
    when: onlyIn("helm"),
    object: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        ...metadata("hostmesh-test", "test", version),
        annotations: {
          "helm.sh/hook": "test",
          "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
        },
      },
      spec: podSpec(),
    },
  };
}

function podSpec(): TemplateMap {
  return {
    restartPolicy: "Never",
    automountServiceAccountToken: false,
    imagePullSecrets: optional("imagePullSecrets"),
    nodeSelector: { "kubernetes.io/os": "linux" },
    securityContext: {
      ...{ runAsNonRoot: true, runAsUser: 1_000, runAsGroup: 1_000 },
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: [
      {
        name: "test",
        image,
        imagePullPolicy: value("image.pullPolicy"),
        command: ["node", "--eval", SCRIPT],
        env: [
          choice(CAPTURES, field("ADDRESS", "status.hostIP"), {
            ...{ name: "ADDRESS", value: "hostmesh-proxy" },
          }),
          choice(
            CAPTURES,
            { name: "PORT", value: String(PORTS.ready) },
            { name: "PORT", value: String(PORTS.explicit) },
          ),
          choice(
            CAPTURES,
            { name: "TARGET", value: "/healthz/ready" },
            { name: "TARGET", value: "/healthz" },
          ),
        ],
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        },
      },
    ],
  };
}
