import * as z from "zod";
import type { Config } from "../../src/config/schema.ts";
import type { LogMark, LogSwitches } from "../../src/core/log-mark.ts";
import type { LogLevel } from "../../src/telemetry/log.ts";
import { isLogLevel, LOG_LEVELS } from "../../src/telemetry/log.ts";

/** Workloads whose access log can be switched at once while the daemon runs. */
const MAX_WORKLOADS = 1_000;

const sample = z.number().min(0).max(1);
const mark = z.strictObject({
  enabled: z.exactOptional(z.boolean()),
  sample: z.exactOptional(sample),
});
const change = z.strictObject({
  level: z.exactOptional(z.custom<LogLevel>(isLogLevel, `must be one of ${LOG_LEVELS.join(", ")}`)),
  accessLog: z.exactOptional(
    z.strictObject({
      default: z.exactOptional(mark),
      errors: z.exactOptional(z.boolean()),
      /** Null takes back what was set of a workload. */
      workloads: z.exactOptional(
        z.record(
          z.string().regex(/^[^/\s]{1,253}\/[^/\s]{1,253}$/, "workloads are NAMESPACE/NAME"),
          mark.nullable(),
        ),
      ),
    }),
  ),
});
type Mark = z.infer<typeof mark>;

/** How logging stands, as `GET /logging` shows it. */
export interface LoggingState {
  readonly level: LogLevel;
  readonly accessLog: {
    readonly default: { readonly enabled: boolean; readonly sample: number };
    readonly errors: boolean;
    readonly workloads: Readonly<Record<string, Mark>>;
  };
}

/** What was asked for is no change of logging; nothing was done. */
export class LoggingError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "LoggingError";
  }
}

export interface LogControlDeps {
  readonly telemetry: Config["telemetry"];
  readonly log: { level: LogLevel };
  /** Takes the switches of the access log whenever they are others. */
  readonly onSwitches: (switches: LogSwitches) => void;
}

/**
 * What is logged, as it can be changed while the daemon runs: level and access log. It begins as the settings say and is
 * forgotten with this process, so a restart goes back to them.
 */
export class LogControl {
  readonly #deps: LogControlDeps;
  #switches: LogSwitches;

  constructor(deps: LogControlDeps) {
    this.#deps = deps;
    const { accessLog, accessLogSample, accessLogErrors } = deps.telemetry;
    this.#switches = {
      default: { form: accessLog === "off" ? "off" : "on", sample: accessLogSample },
      errors: accessLogErrors === "on",
      workloads: {},
    };
  }

  /** For a worker that begins. */
  get switches(): LogSwitches {
    return this.#switches;
  }

  get state(): LoggingState {
    const { default: usual, errors, workloads } = this.#switches;
    const shown = Object.entries(workloads).map(([name, one]): [string, Mark] => [
      name,
      {
        ...(one.form === undefined ? {} : { enabled: one.form !== "off" }),
        ...(one.sample === undefined ? {} : { sample: one.sample }),
      },
    ]);
    return {
      level: this.#deps.log.level,
      accessLog: {
        default: { enabled: usual.form !== "off", sample: usual.sample },
        errors,
        workloads: Object.fromEntries(shown),
      },
    };
  }

  /** Changes what is given, all of it or nothing; throws {@link LoggingError}. */
  set(wanted: unknown): LoggingState {
    const parsed = change.safeParse(wanted);
    if (!parsed.success) throw new LoggingError(z.prettifyError(parsed.error), parsed.error);
    const { level, accessLog } = parsed.data;
    if (accessLog !== undefined) {
      const { default: usual = {}, errors = this.#switches.errors } = accessLog;
      this.#switches = {
        default: { ...this.#switches.default, ...markOf(usual) },
        errors,
        workloads: this.#merged(accessLog.workloads ?? {}),
      };
      this.#deps.onSwitches(this.#switches);
    }
    if (level !== undefined) this.#deps.log.level = level;
    return this.state;
  }

  #merged(changes: Readonly<Record<string, Mark | null>>): Record<string, LogMark> {
    const workloads = new Map(Object.entries(this.#switches.workloads));
    for (const [name, one] of Object.entries(changes)) {
      if (one === null) workloads.delete(name);
      else workloads.set(name, { ...workloads.get(name), ...markOf(one) });
    }
    if (workloads.size > MAX_WORKLOADS) {
      throw new LoggingError(`more than ${MAX_WORKLOADS} workloads are switched: take some back`);
    }
    return Object.fromEntries(workloads);
  }
}

function markOf({ enabled, sample: share }: Mark): { form?: "on" | "off"; sample?: number } {
  return {
    ...(enabled === undefined ? {} : { form: enabled ? "on" : "off" }),
    ...(share === undefined ? {} : { sample: share }),
  };
}

/** Answers a registry's question `logging`: changes what is given, and tells how it stands. */
export function loggingAnswers(control: LogControl) {
  return (question: Readonly<Record<string, unknown>>): LoggingState => {
    const { level, accessLog } = question;
    return control.set({
      ...(level === undefined ? {} : { level }),
      ...(accessLog === undefined ? {} : { accessLog }),
    });
  };
}
