import { quoted, token } from "./escape.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

/** What parts of the daemon log to. An `Error` among the fields is written with its code and causes. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose lines all carry these fields; its level stays that of its parent. */
  child(fields: LogFields): Log;
}

/** The log at the root: its level can be changed while the daemon runs. */
export interface RootLog extends Log {
  level: LogLevel;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "json" | "text";
  /** Takes one line with its end. Default: standard error. */
  readonly write?: (line: string) => void;
  /** The time of day in ms since 1970. */
  readonly wall?: () => number;
}

/** A levelled log of the daemon itself; one escaped line per entry. */
export function createLog(options: LogOptions): RootLog {
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const wall = options.wall ?? Date.now;
  const format = options.format === "json" ? jsonEntry : textEntry;
  const state = { level: options.level };
  const entry = (level: LogLevel, message: string, base: LogFields, fields?: LogFields): void => {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(state.level)) return;
    write(`${format(new Date(wall()).toISOString(), level, message, { ...base, ...fields })}\n`);
  };
  const make = (base: LogFields): Log => ({
    debug: (message, fields) => entry("debug", message, base, fields),
    info: (message, fields) => entry("info", message, base, fields),
    warn: (message, fields) => entry("warn", message, base, fields),
    error: (message, fields) => entry("error", message, base, fields),
    child: (fields) => make({ ...base, ...fields }),
  });
  return {
    ...make({}),
    get level() {
      return state.level;
    },
    set level(level) {
      state.level = level;
    },
  };
}

/** Is the text the name of a level? For what comes from outside. */
export function isLogLevel(text: unknown): text is LogLevel {
  return LOG_LEVELS.some((level) => level === text);
}

function jsonEntry(time: string, level: string, message: string, fields: LogFields): string {
  let line = `{"time":"${time}","level":"${level}","message":${quoted(message)}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) line += `,${quoted(name)}:${jsonValue(value)}`;
  }
  return `${line}}`;
}

function textEntry(time: string, level: string, message: string, fields: LogFields): string {
  const text = quoted(message).slice(1, -1);
  let line = `${time} ${level.toUpperCase().padEnd(5)} ${text}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    line += ` ${token(name)}=${token(typeof value === "string" ? value : plainText(value))}`;
  }
  return line;
}

function jsonValue(value: unknown): string {
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  if (typeof value === "boolean" || value === null) return String(value);
  return quoted(typeof value === "string" ? value : plainText(value));
}

function plainText(value: unknown): string {
  if (value instanceof Error) return describeError(value);
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return String(JSON.stringify(value));
  } catch (reason) {
    // A value that cannot be written must not fail the code that only wanted to log it.
    return `unprintable (${describeError(reason)})`;
  }
}

/** `message [code]: cause: its cause`, at most five deep: causes may form a ring. */
export function describeError(reason: unknown): string {
  const parts: string[] = [];
  let at: unknown = reason;
  for (let depth = 0; depth < 5 && at !== undefined && at !== null; depth += 1) {
    if (!(at instanceof Error)) {
      parts.push(plainText(at));
      break;
    }
    const code = "code" in at && typeof at.code === "string" ? ` [${at.code}]` : "";
    parts.push(`${at.message || at.name}${code}`);
    at = at.cause;
  }
  return parts.join(": ");
}
