import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Timers } from "../../src/registry/timers.ts";
import type { Log } from "../../src/telemetry/log.ts";
import { type LinkEvent, parseLinkEvent } from "./link-event.ts";

const ARGS = ["-o", "monitor", "label", "link", "route", "neigh"];
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
/** It subscribes before it could say so; after this long it has. */
const SUBSCRIBED_MS = 500;

export interface LinkMonitorOptions {
  /** The program and what is put before its arguments. Default `ip`. */
  readonly command?: readonly string[];
  readonly timers: Timers;
  readonly log: Log;
  onEvent(event: LinkEvent): void;
  /** Events may have been missed until now. */
  onGap(): void;
}

/** Follows the kernel's links, routes and neighbours by `ip monitor`, which needs no privilege and is started again when it ends. */
export class LinkMonitor {
  readonly #options: LinkMonitorOptions;
  #child: ChildProcess | null = null;
  #cancel: (() => void) | null = null;
  #failures = 0;
  #stopped = false;

  constructor(options: LinkMonitorOptions) {
    this.#options = options;
  }

  start(): void {
    const { timers, onEvent, command = ["ip"] } = this.#options;
    const [program = "ip", ...before] = command;
    const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
    const child = spawn(program, [...before, ...ARGS], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C", PATH: path },
    });
    this.#child = child;
    createInterface(child.stdout).on("line", (line) => {
      const event = parseLinkEvent(line);
      if (event !== null && this.#child === child) onEvent(event);
    });
    let said = "";
    // What it complains of is an overrun: it has lost events, and may go on.
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = text.trim().slice(0, 300);
      if (this.#child === child) this.#options.onGap();
    });
    const ended = (reason: string) => {
      if (this.#child === child) this.#restart(said === "" ? reason : said);
    };
    child.once("error", (error) => ended(error.message));
    child.once("close", (code, signal) => ended(signal ?? `exit code ${code}`));
    this.#cancel = timers.after(SUBSCRIBED_MS, () => {
      this.#failures = 0;
      this.#options.onGap();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    const child = this.#child;
    this.#child = null;
    child?.kill();
  }

  #restart(reason: string): void {
    this.#child = null;
    this.#cancel?.();
    if (this.#stopped) return;
    const { timers, log } = this.#options;
    const delayMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures, 20));
    if (this.#failures === 0) {
      log.warn("the links of containers are not followed: ip monitor has ended", { reason });
    }
    this.#failures++;
    this.#cancel = timers.after(delayMs, () => this.start());
  }
}
