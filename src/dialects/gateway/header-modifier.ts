import * as z from "zod";
import type { HeaderEdits } from "../../core/traffic.ts";
import { honoured } from "../support.ts";
import type { Work } from "../translator.ts";
import { sentName, valueField } from "./fields.ts";

const MAX_EDITS = 16;

const edits = z
  .array(
    z.strictObject({
      name: honoured(sentName, "of several with the same name the first counts"),
      value: honoured(valueField),
    }),
  )
  .max(MAX_EDITS)
  .default([]);

export const headerModifierField = z.strictObject({
  set: edits,
  add: edits,
  remove: honoured(z.array(sentName).max(MAX_EDITS)).default([]),
});

/** One action for each name: the specification calls several invalid, and of one list's the first counts. */
export function headerEditsOf(
  work: Work<unknown>,
  { set, add, remove }: z.infer<typeof headerModifierField>,
  at: readonly PropertyKey[],
): HeaderEdits {
  const seen = new Map<string, string>();
  const isNew = (name: string, list: string, place: readonly PropertyKey[]): boolean => {
    const before = seen.get(name.toLowerCase());
    if (before === undefined) {
      seen.set(name.toLowerCase(), list);
      return true;
    }
    if (before !== list) work.refuse(place, `${name} is in ${before} too: one action for a name`);
    work.warn(place, `no effect: ${name} was named before, and that counts`);
    return false;
  };
  const pairs = (list: typeof set, key: string) =>
    list
      .filter(({ name }, index) => isNew(name, key, [...at, key, index, "name"]))
      .map(({ name, value }): [string, string] => [name, value]);
  const setting = pairs(set, "set");
  const adding = pairs(add, "add");
  const removing = remove.filter((name, index) => isNew(name, "remove", [...at, "remove", index]));
  return {
    ...(setting.length === 0 ? {} : { set: setting }),
    ...(adding.length === 0 ? {} : { add: adding }),
    ...(removing.length === 0 ? {} : { remove: removing }),
  };
}
