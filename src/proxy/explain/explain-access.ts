import { CODES, type MeshError } from "../../core/errors.ts";
import type { RequestHead } from "../../http/message.ts";
import { Admission, type Guarded } from "../admission.ts";
import type { Origin } from "../context.ts";
import type { Plane } from "../plane.ts";
import type { PolicyTrial } from "../routing/authorize/workload-authorizer.ts";
import type { StepList } from "./step-list.ts";

/**
 * Asks the policies of a workload of this host, as for a real request (`head` null: a connection). Adds what they decide and
 * returns what forbids it, or null.
 */
export async function explainAccess(
  plane: Plane,
  origin: Origin,
  guarded: Guarded,
  head: RequestHead | null,
  list: StepList,
): Promise<MeshError | null> {
  const admission = new Admission(plane, origin);
  const error = await verdictOf(admission, guarded, head);
  const trials = admission.trials();
  const token = admission.effects;
  admission.end();
  const authorizer = plane.authorizer.for(guarded.target);
  const mode = authorizer.mtls(guarded.port);
  const peers = authorizer.peers.map(({ source }) => source);
  const caller = origin.identity === "" ? `${origin.address} without identity` : origin.identity;
  const details = [
    `mutual TLS at port ${guarded.port} of ${nameOf(guarded)}: ${mode}${peers.length === 0 ? ", which is the default" : `, by ${peers.join(", ")}`}`,
    ...(authorizer.tokens === null ? [] : [tokenLine(error, token !== null)]),
    ...trials.map(trialText),
  ];
  const resource = error === null ? allowedBy(trials) : deniedBy(error, trials, peers);
  list.add(
    "authorisation",
    error === null ? "allowed" : `refused: ${error.code}`,
    error === null ? reason(trials, caller) : error.message,
    { resource, details },
  );
  return error;
}

function verdictOf(
  admission: Admission,
  guarded: Guarded,
  head: RequestHead | null,
): Promise<MeshError | null> {
  if (head === null) return Promise.resolve(admission.connection(guarded));
  const { promise, resolve } = Promise.withResolvers<MeshError | null>();
  admission.ask(guarded, head, { onAdmission: resolve });
  return promise;
}

function tokenLine(error: MeshError | null, wasRead: boolean): string {
  if (error?.code === "TOKEN_INVALID") return `token: ${error.message}`;
  return wasRead ? "tokens are read here: none, or a valid one" : "tokens are read here";
}

function trialText({ source, action, dryRun, problem, rules }: PolicyTrial): string {
  const what = `${source} (${action}${dryRun ? ", dry run" : ""})`;
  if (problem !== "") return `${what}: cannot be used and fails closed: ${problem}`;
  const matching = rules.flatMap((matches, at) => (matches ? [`#${at + 1}`] : []));
  if (rules.length === 0) return `${what}: has no rule, so that it never matches`;
  return matching.length === 0
    ? `${what}: none of its ${rules.length} rules matches`
    : `${what}: rule ${matching.join(", ")} matches`;
}

function allowedBy(trials: readonly PolicyTrial[]): string | null {
  const allowing = trials.find(
    ({ action, dryRun, rules }) =>
      !dryRun && (action === "allow" || action === "intentions") && rules.includes(true),
  );
  return allowing?.source ?? null;
}

function reason(trials: readonly PolicyTrial[], caller: string): string {
  const allowing = allowedBy(trials);
  if (allowing !== null) return `a rule of ${allowing} matches ${caller}`;
  if (trials.length === 0) return "no policy is about this workload";
  return "no policy denies it, and none says who alone is allowed";
}

/** The policy that the error names; of mutual TLS the one that demands it. */
function deniedBy(
  error: MeshError,
  trials: readonly PolicyTrial[],
  peers: readonly string[],
): string | null {
  if (error.code === "PLAINTEXT_REFUSED") return peers[0] ?? null;
  return trials.find(({ source }) => error.message.endsWith(source))?.source ?? null;
}

/** `namespace/name`; the key has more behind it where one workload serves several services. */
function nameOf({ target }: Guarded): string {
  return target.key.split("#")[0] ?? target.key;
}

/** Status of the answer that an error gets. */
export function statusOfError(error: MeshError): number {
  return error.answer?.status ?? CODES[error.code].http;
}
