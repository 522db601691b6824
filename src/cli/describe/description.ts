/** One line, and the resource that says so. */
export interface Line {
  readonly text: string;
  /** `Kind namespace/name`; null: no resource does. */
  readonly resource: string | null;
}

export interface Section {
  readonly title: string;
  readonly lines: readonly Line[];
}

/** What `hostmesh describe` tells of one thing. */
export interface Description {
  readonly kind: "service" | "workload" | "host";
  /** `namespace/name`, or a host's name. */
  readonly name: string;
  readonly sections: readonly Section[];
  /** What somebody should look at. */
  readonly warnings: readonly Line[];
}

export function line(text: string, resource: string | null = null): Line {
  return { text, resource };
}
