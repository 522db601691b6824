/** One thing that is wrong with the settings. */
export interface ConfigProblem {
  /** The setting: `ports.explicit`, or the name as it was given where there is no such setting. */
  readonly name: string;
  /** `/etc/hostmesh.yaml:3`, `environment HOSTMESH_...` or `command line`. */
  readonly where: string;
  /** What would be right, and what was found. */
  readonly message: string;
}

/** The settings cannot be used. The message lists every problem, one per line. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], cause?: unknown) {
    const lines = problems.map(({ name, where, message }) =>
      name === "" ? `${where}: ${message}` : `${where}: ${name}: ${message}`,
    );
    super(lines.join("\n"), cause === undefined ? undefined : { cause });
    this.name = "ConfigError";
    this.problems = problems;
  }
}
