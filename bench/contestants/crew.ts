import { mkdir, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CallShape, UNARY } from "../h2/request.ts";
import type { Place, Site } from "../lib/site.ts";
import type { Workbench } from "../lib/workbench.ts";
import type { Protocol, ProxyProcess, Target } from "../model.ts";
import { withOpenFiles } from "./open-files.ts";
import type { ProbeJob } from "./probe.ts";
import { slug } from "./relay.ts";

/** A contestant starts within the one, and answers for a service within the other. */
const PROBE_SECONDS = { start: 60, each: 0.02 };
const PROBE_BYTES = 1_024;
/** The script itself ends in time; this is for a machine that stalls. */
const GRACE_MS = 30_000;

export interface CrewOptions {
  readonly bench: Workbench;
  readonly site: Site;
  /** Of the contestant: names of processes begin with it, so it is used once in a workbench. */
  readonly name: string;
  /** Where the contestants' folders of kept files are made. */
  readonly configFolder: string;
}

export interface StartOptions {
  readonly role: string;
  readonly place: Place;
  /** `load`: it is on no path, and stays off the proxies' CPUs. */
  readonly cpus: "proxy" | "load";
  readonly command: readonly string[];
  /** Client connections that it has to hold. */
  readonly connections: number;
  readonly env?: NodeJS.ProcessEnv;
}

/** Scripts of this folder, which run in the network namespace that they are about. */
type Script = "probe" | "apply-records" | "fetch-join-token" | "check-mesh-entry" | "count-hop";

/** The processes of one contestant, and the files that are kept so that anybody may object. */
export class Crew {
  readonly bench: Workbench;
  readonly site: Site;
  readonly name: string;
  /** Kept: configuration and command lines. */
  readonly folder: string;
  /** Paths of the kept files. */
  readonly files: string[] = [];
  readonly proxies: ProxyProcess[] = [];
  readonly #started: { readonly name: string; readonly pid: number }[] = [];

  private constructor({ bench, site, name, configFolder }: CrewOptions) {
    this.bench = bench;
    this.site = site;
    this.name = name;
    this.folder = join(configFolder, slug(name));
  }

  /** Makes the folder of the contestant's kept files. */
  static async open(options: CrewOptions): Promise<Crew> {
    const crew = new Crew(options);
    await mkdir(crew.folder, { recursive: true });
    return crew;
  }

  /** Writes a file that is kept; returns its path. */
  async keep(name: string, text: string): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, text);
    this.files.push(path);
    return path;
  }

  /** Makes a folder for the temporary files of a process; it goes with the workbench. */
  async scratch(role: string): Promise<string> {
    const folder = join(this.bench.folder, slug(this.name), slug(role));
    await mkdir(folder, { recursive: true });
    return folder;
  }

  /** Starts a process, and keeps its command line. Returns its id. */
  async start(options: StartOptions): Promise<number> {
    const { role, place, cpus, connections } = options;
    const limited = await withOpenFiles(options.command, connections);
    const command = this.site.command(place, cpus, limited, this.proxies.length);
    await this.keep(`${slug(role)}.command`, `${command.map(quoted).join(" ")}\n`);
    const name = `${this.name}: ${role}`;
    const pid = this.bench.start(name, command, options.env ?? process.env);
    this.#started.push({ name, pid });
    if (cpus === "proxy") this.proxies.push({ role, pid, host: place.host });
    return pid;
  }

  /** Runs a script of this folder to its end; resolves with what it printed. Rejects also where a process of the crew ends. */
  async runScript(
    script: Script,
    args: readonly string[],
    seconds: number,
    place: Place = this.site.a,
  ): Promise<string> {
    const url = new URL(`./${script}${extname(import.meta.url)}`, import.meta.url);
    const command = [process.execPath, fileURLToPath(url), ...args, String(seconds)];
    const placed = this.site.command(place, "load", command);
    const timeoutMs = seconds * 1_000 + GRACE_MS;
    let isDone = false;
    let failure: unknown;
    let printed = "";
    const running = this.bench.run(`${this.name}: ${script}`, placed, timeoutMs).then(
      (text) => {
        isDone = true;
        printed = text;
      },
      (reason: unknown) => {
        isDone = true;
        failure = reason;
      },
    );
    // Waits on every process: one that ends says why, and the script only that nobody answers.
    const isReady = () => Promise.resolve(isDone);
    await Promise.all(this.#started.map(({ name }) => this.bench.until(name, isReady, timeoutMs)));
    await running;
    if (failure !== undefined) throw failure;
    return printed;
  }

  /** Waits until every target has delivered a whole body through the whole path. */
  async untilAnswers(
    protocol: Protocol,
    targets: readonly Target[],
    shape: CallShape = UNARY,
  ): Promise<void> {
    const job: ProbeJob = { protocol, targets, shape, bodyBytes: PROBE_BYTES };
    const file = join(await this.scratch("probe"), "job.json");
    await writeFile(file, JSON.stringify(job));
    const { start, each } = PROBE_SECONDS;
    await this.runScript("probe", [file], start + each * targets.length);
  }

  /** Kills what was started: for a contestant that cannot be measured. */
  abandon(): void {
    for (const { pid } of this.#started.splice(0)) {
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // It has ended, which may be why it is abandoned.
      }
    }
    this.proxies.length = 0;
  }
}

/** As a shell would have to be told. */
function quoted(argument: string): string {
  if (/^[\w@%+=:,./-]+$/.test(argument)) return argument;
  return `'${argument.replaceAll("'", "'\\''")}'`;
}
