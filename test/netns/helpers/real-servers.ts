import { execFileSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../helpers/until.ts";
import type { MeshContainer } from "./mesh.ts";
import { Program } from "./program.ts";
import { ScratchFolder } from "./scratch-folder.ts";
import { must } from "./shell.ts";

/** Servers as Debian ships them, in a container each, with data in a folder that `close` removes. */
export class RealServers {
  readonly #folder = new ScratchFolder();

  /** Call when the servers have ended. */
  close(): void {
    this.#folder.remove();
  }

  async postgres(at: MeshContainer): Promise<void> {
    const [bin = ""] = globSync("/usr/lib/postgresql/*/bin");
    const data = this.#dataOf("postgres");
    const locale = ["--locale=C", "--encoding=UTF8"];
    const init = [`${bin}/initdb`, "-A", "trust", "-U", "postgres", "--no-sync", ...locale, data];
    await must("setpriv", as("postgres", ...init));
    execFileSync("sh", ["-c", `echo "host all all all trust" >> ${data}/pg_hba.conf`]);
    const settings = ["listen_addresses=*", "fsync=off", `unix_socket_directories=${data}`];
    const args = settings.flatMap((setting) => ["-c", setting]);
    await this.#start(at, as("postgres", `${bin}/postgres`, "-D", data, ...args), 5_432);
  }

  async redis(at: MeshContainer): Promise<void> {
    const args = ["--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""];
    const dir = ["--dir", this.#dataOf("redis")];
    await this.#start(at, as("redis", "redis-server", ...args, ...dir), 6_379);
  }

  async mariadb(at: MeshContainer): Promise<void> {
    const data = this.#dataOf("mysql");
    const init = ["--no-defaults", `--datadir=${data}`, "--skip-test-db", "--skip-name-resolve"];
    await must("setpriv", as("mysql", "mariadb-install-db", ...init));
    const args = [
      ...["--no-defaults", `--datadir=${data}`, `--socket=${data}/sock`, "--port=3306"],
      ...["--bind-address=0.0.0.0", "--skip-name-resolve", "--skip-grant-tables"],
      // The greeting alone is what is measured: the server takes that for broken clients.
      ...["--skip-networking=0", "--max-connect-errors=100000"],
    ];
    await this.#start(at, as("mysql", "mariadbd", ...args), 3_306);
  }

  async nats(at: MeshContainer): Promise<void> {
    await this.#start(at, as("nobody", "nats-server", "-a", "0.0.0.0", "-p", "4222"), 4_222);
  }

  #dataOf(user: string): string {
    const data = join(this.#folder.path, user);
    execFileSync("install", ["-d", "-o", user, "-m", "700", data]);
    return data;
  }

  async #start(at: MeshContainer, command: readonly string[], port: number): Promise<void> {
    const program = new Program(at.container.namespace, "setpriv", command);
    const listens = async () => {
      if (!program.running) throw new Error(`${command.join(" ")} has ended:\n${program.output}`);
      return (await at.tcp("127.0.0.1", port, { send: "" })).error !== "ECONNREFUSED";
    };
    await until(listens, { timeoutMs: 20_000, what: `port ${port} of ${at.name}` });
  }
}

/** Arguments of setpriv(1): servers refuse to run as root. */
function as(user: string, ...command: readonly string[]): string[] {
  const group = execFileSync("id", ["-gn", user]).toString().trim();
  return [`--reuid=${user}`, `--regid=${group}`, "--clear-groups", ...command];
}
