import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { must } from "../netns/helpers/shell.ts";

/** Users whom the API server of a test knows by a static token: all that is no service account. */
export interface Tokens {
  /** In `system:masters`. */
  readonly admin: string;
  readonly controllers: string;
  readonly scheduler: string;
  /** The kubelet of a node, whom the Node authorizer holds to its own pods. */
  readonly ofNode: (name: string) => string;
}

export interface Credentials {
  /** Of the server's certificate, which signs itself. */
  readonly ca: string;
  readonly tokens: Tokens;
  readonly files: {
    readonly certificate: string;
    readonly key: string;
    readonly tokens: string;
    readonly accountKey: string;
    readonly accountPublicKey: string;
  };
}

/** Writes what an API server at this address needs into the folder. Nodes have names of `nodes`. */
export async function writeCredentials(
  folder: string,
  address: string,
  nodes: readonly string[],
): Promise<Credentials> {
  const file = (name: string) => join(folder, name);
  const files = {
    ...{ certificate: file("server.pem"), key: file("server.key"), tokens: file("tokens.csv") },
    ...{ accountKey: file("accounts.key"), accountPublicKey: file("accounts.pub") },
  };
  const names = ["DNS:kubernetes", "DNS:kubernetes.default.svc", `IP:${address}`, "IP:127.0.0.1"];
  await must("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "2", "-subj", "/CN=kubernetes", "-addext", `subjectAltName=${names.join(",")}`],
    ...["-keyout", files.key, "-out", files.certificate],
  ]);
  const account = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "sec1", format: "pem" },
  });
  writeFileSync(files.accountKey, account.privateKey, { mode: 0o600 });
  writeFileSync(files.accountPublicKey, account.publicKey);
  const [admin, controllers, scheduler] = [secret(), secret(), secret()];
  const ofNodes = new Map(nodes.map((name) => [name, secret()]));
  const rows = [
    [admin, "admin", '"system:masters"'],
    [controllers, "system:kube-controller-manager", ""],
    [scheduler, "system:kube-scheduler", ""],
    ...Array.from(ofNodes, ([name, token]) => [token, `system:node:${name}`, '"system:nodes"']),
  ];
  const text = rows.map(([token, user, groups]) => `${token},${user},${user},${groups}\n`);
  writeFileSync(files.tokens, text.join(""), { mode: 0o600 });
  const ofNode = (name: string): string => {
    const token = ofNodes.get(name);
    if (token === undefined) throw new Error(`the API server was not told of node ${name}`);
    return token;
  };
  const tokens = { admin, controllers, scheduler, ofNode };
  return { ca: readFileSync(files.certificate, "utf8"), tokens, files };
}

/** A kubeconfig file for whoever has the token. */
export function writeKubeconfig(
  path: string,
  { url, ca, token }: { url: string; ca: string; token: string },
): string {
  const cluster = {
    server: url,
    "certificate-authority-data": Buffer.from(ca).toString("base64"),
  };
  const config = {
    ...{ apiVersion: "v1", kind: "Config", "current-context": "test" },
    clusters: [{ name: "test", cluster }],
    users: [{ name: "test", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

function secret(): string {
  return randomBytes(16).toString("hex");
}
