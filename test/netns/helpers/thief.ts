import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatHostPort } from "../../../src/core/address.ts";
import type { Credential } from "../../../src/core/identity.ts";
import { MESH_ALPN, writeMeshConnect } from "../../../src/http/h1/mesh-connect.ts";
import { CLIENT_PREFACE } from "../../../src/http/h2/codes.ts";
import { HBONE_PORT } from "../../../src/http/h2/mesh-wire.ts";
import { sniOf } from "../../../src/identity/sni.ts";
import { type Authority, readAuthority } from "../../../src/identity/x509.ts";
import { data, headers, settings } from "../../helpers/h2-lab.ts";
import type { Mesh, MeshContainer, MeshHost } from "./mesh.ts";
import type { Namespace } from "./namespace.ts";
import { Script } from "./program.ts";

/** What `tls-agent.ts` says of one connection. */
export interface TlsAnswer {
  readonly text: string;
  /** Alternative names of the server's certificate. */
  readonly server?: string;
  readonly reused?: boolean;
  /** Tickets, base64. */
  readonly sessions: readonly string[];
  readonly error?: string;
}

export interface HttpsAnswer {
  readonly status?: number;
  readonly text?: string;
  readonly error?: string;
}

type Shown = Pick<Credential, "chain" | "privateKey"> | null;

/** How a connection to a mesh port differs from a proper one. */
export interface Knock {
  readonly shown: Shown;
  /** Whose certificate is asked for, and whose endpoint. */
  readonly name: string;
  readonly place: { readonly host: string; readonly port: number };
  readonly protocol?: "http/1.1" | "tcp";
  readonly client?: string;
  /** Of `tls-agent.ts`. */
  readonly tls?: object;
}

const REQUEST = "GET / HTTP/1.1\r\nhost: thief\r\nconnection: close\r\n\r\n";

/** Somebody in a namespace who speaks TLS with certificates that he should not have. */
export class Thief {
  readonly #agent: Script;

  private constructor(agent: Script) {
    this.#agent = agent;
  }

  static async start(namespace: Namespace): Promise<Thief> {
    return new Thief(await Script.start(namespace, "tls-agent"));
  }

  /** Asks a mesh port to be joined to an endpoint, and sends an HTTP request there. */
  knock(to: MeshHost, { shown, name, place, protocol, client = "", tls }: Knock) {
    const asked = { authority: place, protocol: protocol ?? "http/1.1", client };
    return this.#agent.ask<TlsAnswer>({
      ...{ op: "tls", host: to.host.address4, port: 15_008, servername: sniOf(name) },
      ...{ alpn: MESH_ALPN, send: writeMeshConnect(asked) + REQUEST, ...show(shown), ...tls },
    });
  }

  /** Asks a workload as a ztunnel does, at its own address and by no name: HBONE's CONNECT to `place`, a request in it. */
  hbone({ container }: MeshContainer, shown: Shown, place: Knock["place"]) {
    const asked = [":method", "CONNECT", ":authority", formatHostPort(place.host, place.port)];
    const sent = [
      Buffer.from(CLIENT_PREFACE, "latin1"),
      ...[settings(), headers(1, asked, false), data(1, REQUEST)],
    ];
    return this.#agent.ask<TlsAnswer>({
      ...{ op: "tls", host: container.address4, port: HBONE_PORT, alpn: "h2" },
      ...{ send: Buffer.concat(sent).toString("latin1"), expect: "URI=spiffe", ...show(shown) },
    });
  }

  /** One call of the registry's API on TLS. */
  call(mesh: Mesh, shown: Shown, method: string, path: string, body?: object) {
    const url = mesh.registryTlsUrl + path;
    return this.#agent.ask<HttpsAnswer>({ op: "https", url, method, body, ...show(shown) });
  }
}

function show(shown: Shown): object {
  return shown === null ? {} : { cert: shown.chain, key: shown.privateKey };
}

/** The mesh's own authority, for certificates that only differ in one thing from good ones. */
export function authorityOf({ registryFolder }: Mesh): Authority {
  const text = readFileSync(join(registryFolder, "ca", "authorities.json"), "utf8");
  const { current }: { current: { chain: string; privateKey: string } } = JSON.parse(text);
  return readAuthority(current.chain, current.privateKey);
}

/** What somebody has who has broken into a host: its own certificate and key. */
export function hostCredential({ folder }: MeshHost): NonNullable<Shown> {
  const [chain, privateKey] = ["host.pem", "host.key"].map((name) =>
    readFileSync(join(folder, "identity", name), "utf8"),
  );
  return { chain: chain ?? "", privateKey: privateKey ?? "" };
}

/** The endpoint of a container's HTTP application. */
export function webOf({ container }: MeshContainer): Knock["place"] {
  return { host: container.address4, port: 8_080 };
}
