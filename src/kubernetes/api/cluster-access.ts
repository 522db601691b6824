import { access } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { homedir } from "node:os";
import { join } from "node:path";
import type { KubeConfig } from "@kubernetes/client-node";

const ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/** What a connection to the API server is made with. Text and bytes are PEM. */
export interface ClusterTls {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What to come to the API server with, now. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: ClusterTls;
}

export interface ClusterChoice {
  /** Path of a kubeconfig; empty: the usual places. */
  readonly kubeconfig: string;
  /** Which of its contexts; empty: its current one. */
  readonly context: string;
}

/**
 * Which cluster, and as whom. Kubernetes' own client library reads the pod's account, kubeconfigs, client certificates and
 * exec plugins; it is loaded only when a cluster is asked for.
 */
export class ClusterAccess {
  readonly #choice: ClusterChoice;
  #config: KubeConfig;
  #reloading: Promise<void> | null = null;

  private constructor(choice: ClusterChoice, config: KubeConfig) {
    this.#choice = choice;
    this.#config = config;
  }

  /** Throws, with what it looked for, where no cluster is configured. */
  static async load(choice: ClusterChoice): Promise<ClusterAccess> {
    return new ClusterAccess(choice, await loadConfig(choice));
  }

  /** The API server's URL; it may have a path. */
  get server(): string {
    return this.#config.getCurrentCluster()?.server ?? "";
  }

  /** Of an HTTP or SOCKS proxy; empty: none. */
  get proxyUrl(): string {
    return this.#config.getCurrentCluster()?.proxyUrl ?? "";
  }

  /** Reads tokens and certificates anew where they are old; may run a plugin. */
  async credentials(): Promise<Credentials> {
    const options: RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const { auth, ca, cert, key, servername, rejectUnauthorized } = options;
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      headers[name.toLowerCase()] = String(value).trim();
    }
    if (typeof auth === "string") {
      headers["authorization"] = `Basic ${Buffer.from(auth).toString("base64")}`;
    }
    const tls = { ca, cert, key, servername, rejectUnauthorized };
    const given = Object.entries(tls).filter(([, value]) => value !== undefined && value !== null);
    return { headers, tls: Object.fromEntries(given) };
  }

  /** Forgets every token and certificate that was kept: the API server does not take them any more. */
  reload(): Promise<void> {
    this.#reloading ??= loadConfig(this.#choice)
      .then((config) => {
        this.#config = config;
      })
      .finally(() => {
        this.#reloading = null;
      });
    return this.#reloading;
  }
}

/** In the order of controller-runtime: what is named, KUBECONFIG, the pod's account, the kubeconfig of the home folder. */
async function loadConfig({ kubeconfig, context }: ClusterChoice): Promise<KubeConfig> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  if (kubeconfig !== "") loadFile(config, kubeconfig);
  else if (process.env["KUBECONFIG"]) config.loadFromDefault();
  else if (process.env["KUBERNETES_SERVICE_HOST"] && (await exists(ACCOUNT_TOKEN))) {
    config.loadFromCluster();
  } else if (await exists(join(homedir(), ".kube", "config"))) {
    loadFile(config, join(homedir(), ".kube", "config"));
  } else {
    throw new Error("no cluster is known: no kubeconfig is named or found, and this is no pod");
  }
  if (context !== "") config.setCurrentContext(context);
  checkContext(config);
  return config;
}

function loadFile(config: KubeConfig, path: string): void {
  try {
    config.loadFromFile(path);
  } catch (cause) {
    throw new Error(`the kubeconfig ${path} cannot be read`, { cause });
  }
}

function checkContext(config: KubeConfig): void {
  const name = config.getCurrentContext();
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    const known = config.getContexts().map((one) => one.name);
    throw new Error(
      `the kubeconfig has no cluster for the context "${name ?? ""}"; its contexts: ${known.join(", ") || "none"}`,
    );
  }
  if (!/^https?:\/\/[^/]/.test(cluster.server) || !URL.canParse(cluster.server)) {
    throw new Error(`"${cluster.server}" is no http or https URL of an API server`);
  }
  // The library refuses plain HTTP (as of `kubectl proxy`) unless verification is off, and there is nothing to verify.
  if (cluster.server.startsWith("http:")) Object.assign(cluster, { skipTLSVerify: true });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
