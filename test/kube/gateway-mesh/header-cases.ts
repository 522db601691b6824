import type { Case } from "./stage.ts";

const CHANGES = [
  ["/set", "{ set: [{ name: X-Set, value: theirs }] }"],
  ["/add", "{ add: [{ name: X-Add, value: theirs }] }"],
  ["/remove", "{ remove: [X-Remove] }"],
  [
    "/all",
    `{ set: [{ name: X-Set-1, value: s1 }, { name: X-Set-2, value: s2 }],
    add: [{ name: X-Add-1, value: a1 }, { name: X-Add-2, value: a2 }, { name: X-Add-3, value: a3 }],
    remove: [X-Remove-1, X-Remove-2] }`,
  ],
  [
    "/case",
    "{ set: [{ name: X-Set, value: theirs }], add: [{ name: X-Add, value: theirs }], remove: [X-Remove] }",
  ],
] as const;

/** Changes of headers, which stand in the rules or at their backends; `HEADER_CASES` is what must come of either. */
export function headerRules(place: "rule" | "backend"): string {
  return CHANGES.map(([path, change]) => {
    const filters = `filters: [{ type: RequestHeaderModifier, requestHeaderModifier: ${change} }]`;
    const backend = (more: string) => `  backendRefs: [{ name: echo-v1, port: 8080${more} }]`;
    const lines = place === "rule" ? [`  ${filters}`, backend("")] : [backend(`, ${filters}`)];
    const matches = `- matches: [{ path: { type: PathPrefix, value: ${path} } }]`;
    return [matches, ...lines].join("\n").replaceAll(/\n {4}/g, " ");
  }).join("\n");
}

const CASES: readonly Case[] = [
  {
    ...{ path: "/set", headers: { "Some-Other": "val" }, by: "echo-v1" },
    seen: { "Some-Other": "val", "X-Set": "theirs" },
  },
  {
    ...{ path: "/set", headers: { "Some-Other": "val", "X-Set": "mine" }, by: "echo-v1" },
    seen: { "Some-Other": "val", "X-Set": "theirs" },
  },
  {
    ...{ path: "/add", headers: { "Some-Other": "val" }, by: "echo-v1" },
    seen: { "Some-Other": "val", "X-Add": "theirs" },
  },
  {
    ...{ path: "/add", headers: { "Some-Other": "val", "X-Add": "mine" }, by: "echo-v1" },
    seen: { "Some-Other": "val", "X-Add": "mine,theirs" },
  },
  {
    ...{ path: "/remove", headers: { "X-Remove": "mine", "X-Other": "val" }, by: "echo-v1" },
    seen: { "X-Remove": null, "X-Other": "val" },
  },
  {
    ...{ path: "/all", by: "echo-v1" },
    headers: { "X-Set-2": "mine", "X-Add-2": "mine", "X-Remove-2": "mine", "Some-Other": "val" },
    seen: {
      ...{ "X-Set-1": "s1", "X-Set-2": "s2" },
      ...{ "X-Add-1": "a1", "X-Add-2": "mine,a2", "X-Add-3": "a3" },
      ...{ "X-Remove-1": null, "X-Remove-2": null, "Some-Other": "val" },
    },
  },
  {
    ...{ path: "/case", by: "echo-v1" },
    headers: { "x-set": "mine", "x-add": "mine", "x-remove": "mine", "Some-Other": "val" },
    seen: { "X-Set": "theirs", "X-Add": "mine,theirs", "X-Remove": null, "Some-Other": "val" },
  },
];

/** From the host of the pod that answers, and from the other one. */
export const HEADER_CASES: readonly Case[] = (["echo-v1", "echo-v2"] as const).flatMap((from) =>
  CASES.map((one) => ({ ...one, from })),
);
