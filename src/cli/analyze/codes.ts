/** How much a finding matters. Codes never change their meaning; docs/analyze.md lists them and a test compares. */
export const LEVELS = ["info", "warning", "error"] as const;
export type Level = (typeof LEVELS)[number];

export interface CodeFacts {
  readonly level: Level;
  readonly title: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** Everything that `hostmesh analyze` can say. */
export const CODES = {
  HM0001: {
    level: "error",
    title: "the file is no YAML or JSON",
    remedy: "correct the text at this place",
  },
  HM0002: {
    level: "error",
    title: "a field that the registry refuses",
    remedy: "write what the message asks for; docs/dialects has every field",
  },
  HM0003: {
    level: "error",
    title: "not a resource, or of an unknown kind",
    remedy: "see docs/dialects for the kinds that there are",
  },
  HM0004: {
    level: "info",
    title: "not a resource of the mesh, left alone",
    remedy: "nothing: the message says why",
  },
  HM0005: {
    level: "warning",
    title: "the same resource is there twice",
    remedy: "remove one of the two: the last one counts",
  },
  HM0101: {
    level: "warning",
    title: "a field without effect",
    remedy: "remove the field, or see docs/dialects for what does the same",
  },
  HM0102: {
    level: "warning",
    title: "a field that acts otherwise than its author may expect",
    remedy: "see the message, and docs/dialects",
  },
  HM0201: {
    level: "error",
    title: "requests are sent to a service that nobody defines",
    remedy: "correct the name, register the service, or apply a Service or ServiceEntry for it",
  },
  HM0202: {
    level: "error",
    title: "requests are sent to a subset that nobody defines",
    remedy: "define the subset in a DestinationRule or service-resolver, or correct its name",
  },
  HM0203: {
    level: "error",
    title: "a port that the service does not have",
    remedy: "use one of the service's ports",
  },
  HM0204: {
    level: "warning",
    title: "the resource is about a service that nobody defines",
    remedy: "correct the name, register the service, or apply a Service or ServiceEntry for it",
  },
  HM0301: {
    level: "warning",
    title: "an older resource of the same kind counts instead of this one",
    remedy: "join the two, or remove one",
  },
  HM0302: {
    level: "warning",
    title: "a resource of another dialect takes precedence over this one",
    remedy: "remove one of the two",
  },
  HM0303: {
    level: "warning",
    title: "an older policy for the same service counts instead of this one",
    remedy: "join the two; subsets are joined by themselves",
  },
  HM0401: {
    level: "warning",
    title: "a subset without endpoints",
    remedy:
      'register endpoints with such labels (`"Meta": {"version": "v2"}`), or correct the labels',
  },
  HM0402: {
    level: "warning",
    title: "endpoints of a service that nobody declares",
    remedy: "apply the Service too, or correct the label kubernetes.io/service-name",
  },
  HM0501: {
    level: "warning",
    title: "a rule that no request reaches",
    remedy: "put it before the rule that takes its requests, or remove it",
  },
  HM0502: {
    level: "warning",
    title: "weights of which the total is 0",
    remedy: "give one of the destinations a weight",
  },
  HM0601: {
    level: "warning",
    title: "another resource would be worse off",
    remedy: "change that one as well",
  },
} as const satisfies Readonly<Record<string, CodeFacts>>;

export type Code = keyof typeof CODES;

/** One thing that was found. */
export interface Finding {
  readonly code: Code;
  readonly level: Level;
  /** Null: it stands in the registry, and in none of the files. */
  readonly file: string | null;
  readonly line: number;
  readonly column: number;
  /** `Kind namespace/name`; empty where that is not known. */
  readonly resource: string;
  readonly path: string;
  readonly message: string;
  readonly remedy: string;
}
