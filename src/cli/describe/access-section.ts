import {
  type AuthorizationPolicy,
  covers,
  type IntentionsPolicy,
  mtlsModeOf,
  type PeerPolicy,
  type PolicyTarget,
  type SourceMatch,
} from "../../core/policy.ts";
import { type Line, line, type Section } from "./description.ts";
import type { MeshFacts } from "./mesh-facts.ts";

/** Who may call workloads, and how they must prove who they are. */
export function accessSections(facts: MeshFacts, targets: readonly PolicyTarget[]): Section[] {
  const covering = facts.policies.filter(({ value }) =>
    targets.some((target) => covers(value.scope, target)),
  );
  const peers = covering.flatMap(({ value }) => (value.kind === "peer" ? [value] : []));
  const rules = covering.flatMap(({ value, label }): Line[] => {
    if (value.kind === "authorization") return authorizationLines(value, label);
    if (value.kind === "intentions") return intentionLines(value, label);
    if (value.kind !== "request-authentication") return [];
    const issuers = value.rules.map(({ issuer }) => issuer).join(", ");
    return [
      line(`tokens of ${issuers || "nobody"} are checked; a request without one passes`, label),
    ];
  });
  const modes = new Set(targets.map((target) => mtlsModeOf(peers, target, 0)));
  const sources = peers.map(({ source }) => source).join(", ");
  return [
    { title: "mutual TLS", lines: mtlsLines(modes, peers, sources || null) },
    {
      title: "who may call",
      lines: rules.length > 0 ? rules : [line("everybody: no policy selects it")],
    },
  ];
}

function mtlsLines(
  modes: ReadonlySet<string>,
  peers: readonly PeerPolicy[],
  source: string | null,
): Line[] {
  const ports = peers.flatMap((peer) =>
    Object.entries(peer.ports).map(([port, mode]) => line(`port ${port}: ${mode}`, peer.source)),
  );
  return [...[...modes].map((mode) => line(MODES[mode] ?? mode, source)), ...ports];
}

const MODES: Readonly<Record<string, string>> = {
  strict: "strict: callers without an identity are refused",
  permissive: "permissive: callers may, and those of the mesh do",
  disable: "disable: callers speak in the clear",
};

function authorizationLines({ action, dryRun, rules }: AuthorizationPolicy, label: string): Line[] {
  const how = dryRun ? `${action} (dry run)` : action;
  if (rules.length === 0) {
    const effect = action === "allow" ? "nobody" : "nothing: it has no rule";
    return [line(`${how} ${effect}`, label)];
  }
  return rules.map((rule) => line(`${how} ${ruleText(rule)}`, label));
}

function intentionLines({ rules, otherwise }: IntentionsPolicy, label: string): Line[] {
  return [
    ...rules.map((rule) => line(`${rule.effect} ${ruleText(rule)}`, label)),
    line(`${otherwise} all others`, label),
  ];
}

function ruleText({ from, to, when }: AuthorizationPolicy["rules"][number]): string {
  const who = from.length === 0 ? "everybody" : from.map(sourceText).join(" or ");
  const what = to.map((operation) => fieldsText(operation)).filter((text) => text !== "");
  const conditions = when.map(({ key }) => key).join(", ");
  return [
    who,
    ...(what.length === 0 ? [] : [`for ${what.join(" or ")}`]),
    ...(conditions === "" ? [] : [`when ${conditions} fit`]),
  ].join(" ");
}

function sourceText(source: SourceMatch): string {
  return fieldsText(source) || "everybody";
}

/** `methods GET, POST and paths /a`. */
function fieldsText(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]) => `${spaced(name)} ${valuesText(value)}`)
    .join(" and ");
}

function valuesText(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" && value !== null
    ? Object.keys(value).join(", ")
    : String(value);
}

/** `notPrincipals` is `not principals`. */
function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
