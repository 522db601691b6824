import { isIP } from "node:net";
import { canonicalAddress } from "../../core/address.ts";
import { ACCESS_LOG_MARKS } from "../../core/log-mark.ts";
import { ENROLMENT_ANNOTATIONS, type PodMarks } from "../../dialects/kubernetes/enrolment.ts";
import type { KubeObject } from "../api/objects.ts";
import { listAt, pick, recordAt, textAt } from "./fields.ts";

/** What is known of a pod that runs, or is about to. */
export interface PodFacts extends PodMarks {
  readonly name: string;
  readonly uid: string;
  /** Where the API server has placed it; empty: nowhere yet. */
  readonly node: string;
  readonly serviceAccount: string;
  readonly addresses: readonly string[];
  /** Of its node. */
  readonly hostAddress: string;
  /** When it was started, else made, ms since the epoch. */
  readonly sinceMs: number;
  /** When it was made, ms since the epoch. */
  readonly madeMs: number;
  /** Numbers of its named ports. */
  readonly ports: ReadonlyMap<string, number>;
  /** Is it ready, and to stay? */
  readonly serves: boolean;
}

/** Null for a pod that has ended, or of which only the object is left: it holds no address any more. */
export function podFactsOf({ metadata, spec, status }: KubeObject): PodFacts | null {
  const isLeaving = metadata.deletionTimestamp !== undefined;
  if (isOver(isLeaving, status)) return null;
  const { namespace = "", name, uid = "" } = metadata;
  const labels = textsOf(metadata.labels ?? {});
  const annotations = pick(metadata.annotations, [
    ...ENROLMENT_ANNOTATIONS,
    ...ACCESS_LOG_MARKS,
  ]) as PodMarks["annotations"];
  const listed = listAt(status, "podIPs").map((one) => textAt(one, "ip"));
  const all = listed.length > 0 ? listed : [textAt(status, "podIP")];
  const made = Date.parse(metadata.creationTimestamp ?? "");
  const started = Date.parse(textAt(status, "startTime"));
  return {
    ...{ namespace, name, uid, labels, annotations },
    hostNetwork: recordAt({ spec }, "spec")["hostNetwork"] === true,
    node: textAt(spec, "nodeName"),
    // An API server sets it where nobody does.
    serviceAccount: textAt(spec, "serviceAccountName") || "default",
    addresses: all.flatMap(addressesOf),
    hostAddress: addressesOf(textAt(status, "hostIP"))[0] ?? "",
    sinceMs: [started, made].find((ms) => !Number.isNaN(ms)) ?? 0,
    madeMs: Number.isNaN(made) ? 0 : made,
    ports: new Map(portsOf(spec)),
    serves: !isLeaving && isReady(status),
  };
}

/** None where it is none: an API server takes what a kubelet reports nearly as it is, such as `010.0.0.9`. */
function addressesOf(text: string): string[] {
  const address = canonicalAddress(text);
  return isIP(address) === 0 || text.includes("%") ? [] : [address];
}

function textsOf(labels: Readonly<Record<string, unknown>>): Record<string, string> {
  const isText = (label: [string, unknown]): label is [string, string] =>
    typeof label[1] === "string";
  return Object.fromEntries(Object.entries(labels).filter(isText));
}

function isReady(status: unknown): boolean {
  return listAt(status, "conditions").some(
    (one) => textAt(one, "type") === "Ready" && textAt(one, "status") === "True",
  );
}

/** Has it ended, or have all its containers, while it is being deleted? Then its address may already be another's. */
function isOver(isLeaving: boolean, status: unknown): boolean {
  const phase = textAt(status, "phase");
  if (phase === "Succeeded" || phase === "Failed") return true;
  const containers = listAt(status, "containerStatuses");
  return isLeaving && containers.length > 0 && containers.every(hasTerminated);
}

function hasTerminated(container: unknown): boolean {
  return "terminated" in recordAt(container, "state");
}

function portsOf(spec: unknown): [string, number][] {
  return listAt(spec, "containers").flatMap((container) =>
    listAt(container, "ports").flatMap((port): [string, number][] => {
      const { name, containerPort } = pick(port, ["name", "containerPort"]);
      return typeof name === "string" && typeof containerPort === "number"
        ? [[name, containerPort]]
        : [];
    }),
  );
}
