import type { KeyObject } from "node:crypto";
import { Agent, request as httpsRequest } from "node:https";
import type { TestContext } from "node:test";
import { connect } from "node:tls";
import { createSigningRequest } from "../../../src/identity/signing-request.ts";
import { generateKeys, privateKeyPem } from "../../../src/identity/x509.ts";
import type { IdentityOptions } from "../../../src/registry/identity/open-identity.ts";
import type { RegistryOptions, RunningRegistry } from "../../../src/registry/registry.ts";
import { call, dig, tempFolder, testRegistry } from "../setup.ts";

export const TRUST_DOMAIN = "mesh.test";

export function spiffe(namespace: string, serviceAccount: string): string {
  return `spiffe://${TRUST_DOMAIN}/ns/${namespace}/sa/${serviceAccount}`;
}

export const identityDefaults: IdentityOptions = {
  trustDomain: TRUST_DOMAIN,
  tlsBind: "127.0.0.1",
  tlsPort: 0,
  isRequired: true,
  caFile: "",
  caKeyFile: "",
  leafLifetimeMs: 86_400_000,
  hostLifetimeMs: 604_800_000,
  hostAddress: "192.0.2.1",
};

/** A registry with a TLS port of its own. */
export async function secureRegistry(
  t: TestContext,
  identity: Partial<IdentityOptions> = {},
  options: Partial<RegistryOptions> = {},
): Promise<RunningRegistry & { readonly tlsUrl: string; readonly dataDir: string }> {
  const dataDir = options.dataDir ?? (await tempFolder(t));
  const registry = await testRegistry(t, {
    ...options,
    dataDir,
    identity: { ...identityDefaults, ...identity },
  });
  const { tlsUrl } = registry;
  if (tlsUrl === null) throw new Error("there is no TLS port");
  return { ...registry, tlsUrl, dataDir };
}

/** What a client shows; nothing: it stays anonymous. */
export interface ClientCredential {
  readonly cert?: string;
  readonly key?: string;
}

export interface TlsAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** One call on a connection of its own; the server is verified by the tests that are about that. */
export function callTls(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  credential: ClientCredential = {},
): Promise<TlsAnswer> {
  const agent = new Agent({ keepAlive: false, maxCachedSessions: 0 });
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      `${url}${path}`,
      { method, agent, rejectUnauthorized: false, ...credential, timeout: 20_000 },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.once("end", () => {
          resolve({
            status: response.statusCode ?? 0,
            body: text === "" ? null : JSON.parse(text),
          });
        });
      },
    );
    request.once("error", reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

export interface Enrolled {
  readonly host: string;
  readonly credential: { readonly cert: string; readonly key: string };
  readonly keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
}

/** Enrols a host with a fresh token. */
export async function enrol(
  registry: { readonly url: string; readonly tlsUrl: string },
  host: string,
): Promise<Enrolled> {
  const created = await call(registry, "POST", "/v1/identity/tokens", { host });
  const keys = generateKeys();
  const csr = createSigningRequest(keys, spiffe("hostmesh-hosts", host));
  const token = dig(created.body, "token");
  const answer = await callTls(registry.tlsUrl, "POST", "/v1/identity/enroll", {
    ...{ token, host, csr },
  });
  if (answer.status !== 200) throw new Error(`not enrolled: ${JSON.stringify(answer.body)}`);
  const cert = String(dig(answer.body, "chain"));
  return { host, keys, credential: { cert, key: privateKeyPem(keys.privateKey) } };
}

/** A request for a certificate, with a key of its own. */
export function requestFor(identity: string) {
  return { identity, csr: createSigningRequest(generateKeys(), identity) };
}

/** The certificate that a TLS port shows now, PEM. */
export function shownBy(url: string): Promise<string> {
  const { port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(
      { port: Number(port), host: "127.0.0.1", rejectUnauthorized: false },
      () => {
        const certificate = socket.getPeerX509Certificate();
        socket.destroy();
        if (certificate === undefined) reject(new Error("no certificate"));
        else resolve(certificate.toString());
      },
    );
    socket.once("error", reject);
  });
}
