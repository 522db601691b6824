import type { Config } from "../../src/config/schema.ts";
import { DEMO_INSTANCES, type DemoInstance } from "./application.ts";
import { createContainer, hasIpv6, removeContainers, writeHosts } from "./containers.ts";
import { describeDemo } from "./describe-demo.ts";
import { type ContainerPlan, planContainer } from "./network-plan.ts";
import { type RunningProgram, startProgram } from "./program.ts";
import { DemoRegistration } from "./registration.ts";
import { demoStateFile, markProcess, removeDemoState, writeDemoState } from "./state.ts";
import { sweepDemo } from "./sweep.ts";

export interface DemoOptions {
  readonly config: Config;
  readonly registryUrl: string;
  readonly log: (line: string) => void;
  /** Root on Linux: every program gets a network namespace of its own and no idea of a proxy. */
  readonly privileged: boolean;
  /** Called before anything is made, with what takes it back: a start may be abandoned half way. */
  readonly onBegin?: (stop: () => Promise<void>) => void;
}

export interface Demo {
  /** Ends the programs, removes the containers and takes the registrations back. */
  stop(): Promise<void>;
  /** What runs, what is slow or flaky, and what to try by hand. */
  describe(): string;
}

/**
 * Starts the demo application after clearing up what a killed one left. If anything fails, everything that
 * was begun is undone before the error comes back.
 */
export async function startDemo(options: DemoOptions): Promise<Demo> {
  await clearFormerDemo(options);
  const run = new DemoRun(options);
  options.onBegin?.(() => run.stop());
  try {
    await run.start();
  } catch (reason) {
    await run.stop();
    throw new Error("the demo application could not be started", { cause: reason });
  }
  const { config, privileged } = options;
  return { stop: () => run.stop(), describe: () => describeDemo(config, privileged) };
}

/**
 * Clears up what a demo left that was killed: for a start without a new demo. Quiet where there is nothing.
 * Throws where a demo runs.
 */
export async function clearFormerDemo(options: Omit<DemoOptions, "privileged">): Promise<void> {
  const { config, log, registryUrl } = options;
  const registration = new DemoRegistration(registryUrl, config.host);
  const deregister = () => registration.removeAll();
  // The former demo may have had containers although this one does not, and the other way round.
  const isRoot = process.platform === "linux" && process.getuid?.() === 0;
  for (const privileged of isRoot ? [true, false] : [false]) {
    const stateFile = demoStateFile(privileged, config.dataDir);
    await sweepDemo({ stateFile, privileged, log, deregister });
  }
}

class DemoRun {
  readonly #options: DemoOptions;
  readonly #stateFile: string;
  readonly #registration: DemoRegistration;
  readonly #programs: RunningProgram[] = [];
  readonly #plans = new Map<string, ContainerPlan>();
  #stopping: Promise<void> | null = null;

  constructor(options: DemoOptions) {
    this.#options = options;
    this.#stateFile = demoStateFile(options.privileged, options.config.dataDir);
    this.#registration = new DemoRegistration(options.registryUrl, options.config.host);
  }

  async start(): Promise<void> {
    await this.#saveState();
    if (this.#options.privileged) await this.#createContainers();
    const servers = DEMO_INSTANCES.filter(({ service }) => service !== null);
    // One after the other: on a small host seven programs that start at once are slower than in turn.
    const endpoints = [];
    for (const instance of servers) {
      const { port } = await this.#startProgram(instance);
      const address = this.#plans.get(instance.name)?.address4 ?? "127.0.0.1";
      endpoints.push({ instance, address, port });
    }
    await this.#registration.add(endpoints, [...this.#plans.values()]);
    const services = await this.#registration.services();
    for (const plan of this.#plans.values()) await writeHosts(plan.namespace, services);
    for (const instance of DEMO_INSTANCES) {
      if (instance.service === null) await this.#startProgram(instance);
    }
  }

  #refuseStopped(): void {
    if (this.#stopping !== null) throw new Error("the demo was stopped while it started");
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #createContainers(): Promise<void> {
    const ipv6 = await hasIpv6();
    for (const [index, instance] of DEMO_INSTANCES.entries()) {
      const plan = planContainer(instance, index + 1, ipv6);
      this.#refuseStopped();
      await createContainer(plan);
      this.#plans.set(instance.name, plan);
    }
  }

  async #startProgram(instance: DemoInstance): Promise<RunningProgram> {
    this.#refuseStopped();
    const plan = this.#plans.get(instance.name);
    const program = await startProgram({
      program: instance.program,
      namespace: plan?.namespace ?? null,
      env: {
        ...instance.env,
        ...(plan === undefined ? this.#proxyEnv() : { PORT: String(instance.port) }),
      },
    });
    this.#programs.push(program);
    await this.#saveState();
    return program;
  }

  /** Without containers the programs are told of the proxy the way any program is. */
  #proxyEnv(): Record<string, string> {
    const { explicit } = this.#options.config.ports;
    return {
      BIND: "127.0.0.1",
      NODE_USE_ENV_PROXY: "1",
      http_proxy: `http://127.0.0.1:${explicit}`,
    };
  }

  async #saveState(): Promise<void> {
    const owner = await markProcess(process.pid);
    const marks = await Promise.all(this.#programs.map(({ pid }) => markProcess(pid)));
    await writeDemoState(this.#stateFile, {
      owner: owner ?? { pid: process.pid, startedAt: "" },
      processes: marks.filter((mark) => mark !== null),
    });
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
    if (this.#options.privileged) await removeContainers();
    try {
      await this.#registration.removeAll();
    } catch (reason) {
      // Without its registry nothing routes to the demo any more; the next demo uses the same names.
      this.#options.log(`the demo's registrations stay in the registry: ${String(reason)}`);
    }
    await removeDemoState(this.#stateFile);
  }
}
