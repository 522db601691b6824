import type { RouteMatch, RouteRule, TextMatch, TrafficSettings } from "../../core/traffic.ts";
import type { World } from "../analyze/world.ts";
import { type Line, line, type Section } from "./description.ts";
import type { KnownEndpoint } from "./mesh-facts.ts";

/** Where calls of a service go, and what holds for them, each with the resource that says so. */
export function routeSections(
  world: World,
  key: string,
  endpoints: readonly KnownEndpoint[],
): Section[] {
  const tables = world.tablesMeeting([key]);
  const policies = world.policiesMeeting(key);
  const routes = tables.flatMap(({ by, value }) => {
    const callers = value.clients === null ? "" : ` for callers in ${value.clients.join(", ")}`;
    const port = value.port === undefined ? "" : ` at port ${value.port}`;
    const role = value.role === "profile" ? "retries and timeouts" : `rank ${value.rank}`;
    const others = value.otherwise === "refuse" ? "others are refused" : "others go to the service";
    const head = `${value.protocol} table${callers}${port}: ${role}, ${others}`;
    return [
      line(head, by.label),
      ...value.rules.map((rule, at) => line(`  ${ruleText(rule, at)}`, by.label)),
    ];
  });
  const settings = policies.flatMap(({ by, value }) => {
    const callers = value.clients === null ? "" : ` (callers in ${value.clients.join(", ")})`;
    return [
      ...settingLines(value.settings, "", callers, by.label),
      ...Object.entries(value.ports).flatMap(([port, own]) =>
        settingLines(own, `port ${port}: `, callers, by.label),
      ),
    ];
  });
  const subsets = policies.flatMap(({ by, value }) =>
    value.subsets.map(({ name, labels }) => ({
      by,
      name,
      labels,
      count: having(endpoints, labels),
    })),
  );
  const subsetLines = subsets.map(({ by, name, labels, count }) =>
    line(`${name}: ${count} endpoints with ${labelText(labels)}`, by.label),
  );
  return [
    {
      title: "routes",
      lines: routes.length > 0 ? routes : [line("none: calls go to the service itself")],
    },
    {
      title: "traffic policy",
      lines: settings.length > 0 ? settings : [line("the daemons' defaults")],
    },
    ...(subsetLines.length > 0 ? [{ title: "subsets", lines: subsetLines }] : []),
  ];
}

function settingLines(
  settings: TrafficSettings,
  prefix: string,
  callers: string,
  label: string,
): Line[] {
  return Object.entries(settings).map(([field, value]) =>
    line(`${prefix}${field} ${JSON.stringify(value)}${callers}`, label),
  );
}

function having(
  endpoints: readonly KnownEndpoint[],
  labels: Readonly<Record<string, string>>,
): number {
  return endpoints.filter(({ meta }) => {
    const known = meta as Readonly<Record<string, string>> | undefined;
    return Object.entries(labels).every(([name, value]) => known?.[name] === value);
  }).length;
}

export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
}

function ruleText(rule: RouteRule, at: number): string {
  const name = rule.name === "" ? `#${at + 1}` : rule.name;
  const asks = rule.matches.map(matchText).join(" or ");
  return `${name}: ${asks === "" ? "everything" : asks} -> ${actionText(rule)}`;
}

function matchText(match: RouteMatch): string {
  const { path, method, authority, headers = [], query = [] } = match;
  const texts = [
    ...(method === undefined ? [] : [textOf(method)]),
    ...(path === undefined ? [] : [`${path.kind} ${textOf(path)}`]),
    ...(authority === undefined ? [] : [`host ${textOf(authority)}`]),
    ...headers.map(({ name, match: value }) => `header ${name} ${textOf(value)}`),
    ...query.map(({ name, match: value }) => `parameter ${name} ${textOf(value)}`),
    ...(match.port === undefined ? [] : [`port ${match.port}`]),
    ...(match.sourceNamespace === undefined ? [] : [`callers in ${match.sourceNamespace}`]),
    ...(match.sourceLabels === undefined ? [] : [`callers with ${labelText(match.sourceLabels)}`]),
  ];
  return texts.length === 0 ? "everything" : texts.join(" and ");
}

function textOf(match: TextMatch): string {
  return match.kind === "present" ? "is there" : match.value;
}

function actionText({ action }: RouteRule): string {
  if (action.kind === "redirect") return `redirect ${action.redirect.status}`;
  if (action.kind === "respond") return `answer ${action.status}`;
  if (action.backends.length === 0) return "the service itself";
  return action.backends
    .map(({ service, subset, port, weight }) => {
      const place = `${service ?? "nothing"}${subset === undefined ? "" : ` subset ${subset}`}`;
      return `${place}${port === undefined ? "" : `:${port}`} (weight ${weight})`;
    })
    .join(", ");
}
