/**
 * What is said of the access log of a workload: by labels, annotations or `Meta` at its registration, or while the daemon
 * runs. What is absent is as elsewhere.
 */
export interface LogMark {
  /** `on`: in the daemon's own form. */
  readonly form?: LogForm;
  /** Share of the exchanges that are written, 0 to 1. */
  readonly sample?: number;
}

export const LOG_FORMS = ["off", "on", "json", "text"] as const;
export type LogForm = (typeof LOG_FORMS)[number];

/** Annotations of pods and namespaces, labels of workloads, keys in the `Meta` of registrations. */
export const ACCESS_LOG = "hostmesh.io/access-log";
export const ACCESS_LOG_SAMPLE = "hostmesh.io/access-log-sample";
export const ACCESS_LOG_MARKS: readonly string[] = [ACCESS_LOG, ACCESS_LOG_SAMPLE];

/** Null: they say nothing of it. `warn` hears of what cannot be read, which has no effect. */
export function logMarkOf(
  labels: Readonly<Record<string, string>>,
  warn: (name: string, message: string) => void,
): LogMark | null {
  const form = labels[ACCESS_LOG];
  const sample = labels[ACCESS_LOG_SAMPLE];
  if (form === undefined && sample === undefined) return null;
  const isForm = LOG_FORMS.some((one) => one === form);
  if (form !== undefined && !isForm) {
    warn(ACCESS_LOG, `no effect: must be one of ${LOG_FORMS.join(", ")}`);
  }
  const share = sample === undefined || sample.trim() === "" ? Number.NaN : Number(sample);
  const isShare = share >= 0 && share <= 1;
  if (sample !== undefined && !isShare) {
    warn(ACCESS_LOG_SAMPLE, "no effect: must be a number from 0 to 1");
  }
  if (!isForm && !isShare) return null;
  return { ...(isForm ? { form: form as LogForm } : {}), ...(isShare ? { sample: share } : {}) };
}

/** Those of these texts that speak of the access log. */
export function logMarksIn(
  texts: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const found = ACCESS_LOG_MARKS.filter((name) => texts[name] !== undefined);
  return Object.fromEntries(found.map((name) => [name, texts[name] ?? ""]));
}

/** The access log as it is switched now. Workloads are `namespace/name`. */
export interface LogSwitches {
  readonly default: { readonly form: LogForm; readonly sample: number };
  /** Are failures written whatever the sample is, and where the log is off by default? */
  readonly errors: boolean;
  /** Set while the daemon runs; goes before what registrations say. */
  readonly workloads: Readonly<Record<string, LogMark>>;
}
