import { Document, isScalar, type Pair, stringify, visit } from "yaml";
import * as z from "zod";
import { manifests } from "../manifests.ts";
import { defaultValues, valuesSchema } from "../values.ts";
import { chartTemplate } from "./chart-template.ts";

const HEAD = "# Made by npm run manifests from src/install: change it there.\n";

const NOTES = `hostmesh {{ .Chart.AppVersion }} is installed in the namespace {{ .Release.Namespace }}.

{{- if ne .Values.captureMode "explicit" }}

The daemons use the node's network and capabilities: the namespace has to admit that.
  kubectl label namespace {{ .Release.Namespace }} pod-security.kubernetes.io/enforce=privileged --overwrite
{{- end }}

1. Wait until it serves:
  kubectl -n {{ .Release.Namespace }} rollout status deployment/hostmesh-registry daemonset/hostmesh-daemon
  helm test {{ .Release.Name }} -n {{ .Release.Namespace }}
2. Enrol a namespace, whose pods need no restart:
  kubectl label namespace NAME hostmesh.io/inject=enabled

To remove it: helm uninstall {{ .Release.Name }} -n {{ .Release.Namespace }}, and then the namespace, with the
authority that the registry has made there: kubectl delete namespace {{ .Release.Namespace }}
`;

/** The files of the chart, by their path below its folder. */
export function chartFiles(version: string): Map<string, string> {
  const files = new Map<string, string>();
  files.set("Chart.yaml", HEAD + stringify(chart(version)));
  files.set("values.yaml", valuesFile(version));
  files.set("values.schema.json", schemaFile(version));
  files.set("templates/NOTES.txt", NOTES);
  for (const manifest of manifests(version)) {
    const text = chartTemplate(manifest);
    if (text === null) continue;
    const path = `templates/${manifest.file}.yaml`;
    const before = files.get(path);
    files.set(path, before === undefined ? HEAD + text : `${before}---\n${text}`);
  }
  return files;
}

function chart(version: string): object {
  return {
    apiVersion: "v2",
    name: "hostmesh",
    description: "A service mesh with one proxy per host.",
    type: "application",
    version,
    appVersion: version,
    kubeVersion: ">=1.26.0-0",
    keywords: ["service-mesh", "proxy", "mtls"],
  };
}

/** The defaults, each value with what it is for. */
function valuesFile(version: string): string {
  const document = new Document(defaultValues(version));
  const schema = z.toJSONSchema(valuesSchema(version), { io: "input" });
  visit(document, {
    Pair(_, pair, path) {
      const names = [...path.filter((node): node is Pair => "key" in node), pair].map(keyText);
      const text = descriptionAt(schema, names);
      if (text !== undefined && isScalar(pair.key)) pair.key.commentBefore = ` ${text}`;
      if (names.length === 1 && isScalar(pair.key)) pair.key.spaceBefore = true;
    },
  });
  return HEAD + document.toString({ lineWidth: 0 });
}

function keyText({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : "";
}

const described = z.looseObject({
  description: z.string().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
});

function descriptionAt(schema: unknown, names: readonly string[]): string | undefined {
  let at: unknown = schema;
  for (const name of names) {
    at = described.safeParse(at).data?.properties?.[name];
  }
  return described.safeParse(at).data?.description;
}

function schemaFile(version: string): string {
  const schema = z.toJSONSchema(valuesSchema(version), { io: "output", target: "draft-7" });
  return `${JSON.stringify(schema, null, 2)}\n`;
}
