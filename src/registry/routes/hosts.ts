import { hostField } from "../fields.ts";
import { parseInput } from "../parse-input.ts";
import type { RegistryParts } from "../parts.ts";
import type { Route } from "../route.ts";

/** `/v1/mesh/hosts`: where hosts take mutual TLS. Daemons say so themselves; operators forget those that are gone. */
export function hostRoutes({ catalog, writer }: RegistryParts): Route[] {
  return [
    {
      method: "GET",
      pattern: "/v1/mesh/hosts",
      allow: ["host"],
      handle: () => ({ items: catalog.all("host").map(({ value }) => value) }),
    },
    {
      method: "DELETE",
      pattern: "/v1/mesh/hosts/:name",
      async handle({ params }) {
        const key = parseInput(hostField, params["name"]);
        const { result, revision } = await writer.run((draft) => {
          const present = draft.get("host", key) !== undefined;
          draft.remove("host", key);
          return present;
        });
        return { body: { key, removed: result }, index: revision };
      },
    },
  ];
}
