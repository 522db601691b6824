import * as z from "zod";
import { TranslationError } from "../../dialects/translator.ts";
import { Draft } from "../draft.ts";
import { parseInput } from "../parse-input.ts";
import type { RegistryParts } from "../parts.ts";
import type { StoredHistory, StoredRecord } from "../records.ts";
import { RegistryError } from "../registry-error.ts";
import { rollBack } from "../roll-back.ts";
import type { Reply, Route } from "../route.ts";
import { keyOf, nameOf, ONE } from "./resource-request.ts";

const BODY_BYTES = 4_096;

const rollbackBody = z.strictObject({
  /** Absent: the revision before the present one. */
  generation: z.number().int().min(1).optional(),
  dryRun: z.boolean().default(false),
});

/** What resources were before, and the way back to it. */
export function resourceHistoryRoutes(parts: RegistryParts): Route[] {
  const { catalog, writer, wall } = parts;
  const settings = { ...parts.resources, ...parts.settings };
  return [
    {
      method: "GET",
      pattern: "/v1/mesh/history",
      handle: ({ query }) => ({ items: list(catalog.all("history"), query) }),
    },
    {
      method: "GET",
      pattern: `${ONE}/history`,
      handle({ params }) {
        const history = catalog.record("history", keyOf(params));
        if (history === undefined) {
          throw new RegistryError(404, `nothing is known of a resource ${keyOf(params)}`);
        }
        const { revisions, ...name } = history.value;
        const newestFirst = revisions.toReversed();
        return { body: { key: history.key, ...name, revisions: newestFirst } };
      },
    },
    {
      method: "POST",
      pattern: `${ONE}/rollback`,
      writesState: true,
      bodyBytes: BODY_BYTES,
      async handle(request) {
        const { generation, dryRun } = parseInput(
          rollbackBody,
          request.hasBody ? request.json() : {},
        );
        const key = keyOf(request.params);
        const change = { atMs: wall.now(), by: nameOf(request) };
        const plan = (draft: Draft) => rollBack(draft, key, generation, settings, change);
        try {
          if (dryRun) return { body: { key, dryRun, ...plan(new Draft(catalog)) } };
          const { result, revision } = await writer.run(plan);
          return { body: { key, dryRun, ...result }, index: revision };
        } catch (error) {
          if (!(error instanceof TranslationError)) throw error;
          return refusal(key, error);
        }
      },
    },
  ];
}

/** The revision was good once, but is not any more. */
function refusal(key: string, { message, issues }: TranslationError): Reply {
  const [first] = issues;
  return { status: 400, body: { error: `${key}: ${message}`, path: first?.path, errors: issues } };
}

/** Without the contents, which are asked for one by one. */
function* list(records: readonly StoredRecord<"history">[], query: URLSearchParams) {
  for (const { key, value } of records) {
    const { revisions, ...name } = value;
    if (!isWanted(value, query)) continue;
    yield { key, ...name, revisions: revisions.toReversed().map(withoutContent) };
  }
}

function isWanted(history: StoredHistory, query: URLSearchParams): boolean {
  const { group, kind, namespace, name } = history;
  return Object.entries({ group, kind, namespace, name }).every(
    ([field, value]) => (query.get(field) ?? value) === value,
  );
}

function withoutContent({ content, ...facts }: StoredHistory["revisions"][number]) {
  return { ...facts, removed: content === null };
}
