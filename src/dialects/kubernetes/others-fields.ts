import * as z from "zod";
import { elsewhere } from "../support.ts";

/** The words of a text. */
type Words<T extends string> = T extends `${infer Word} ${infer Rest}` ? Word | Words<Rest> : T;

/** Fields with which a mesh has nothing to do, named in texts with blanks between; `note` says whose matter they are. */
export function othersFields<T extends string>(note: string, names: readonly T[]) {
  const fields = names
    .flatMap((text) => text.split(" "))
    .map((name) => [name, elsewhere(z.unknown(), note)]);
  return Object.fromEntries(fields) as { [Name in Words<T>]: z.ZodOptional<z.ZodUnknown> };
}
