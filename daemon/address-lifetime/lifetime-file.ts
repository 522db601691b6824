import { readFile } from "node:fs/promises";
import * as z from "zod";
import { replaceFile } from "../../src/registry/replace-file.ts";
import type { TiedAddress } from "../local-workloads.ts";

/** A container's address and its link; `index` null: the container has left it. */
export interface SavedLifetime extends TiedAddress {
  readonly index: number | null;
}

const MAX_ENTRIES = 100_000;
const schema = z.object({
  boot: z.string(),
  addresses: z
    .array(
      z.object({
        address: z.string(),
        uid: z.string(),
        index: z.number().int().nullable(),
      }),
    )
    .max(MAX_ENTRIES),
});

/** Names the time since the last start of the machine. */
export async function bootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}

/**
 * What was known when this daemon, or its generation, last ran. Of an earlier start of the machine nothing holds: the
 * numbers of links begin anew. Throws where the file is there and cannot be read.
 */
export async function readLifetimes(path: string, boot: string): Promise<SavedLifetime[]> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return [];
  const saved = schema.parse(JSON.parse(text));
  return saved.boot === boot ? saved.addresses : [];
}

export async function writeLifetimes(
  path: string,
  boot: string,
  addresses: readonly SavedLifetime[],
): Promise<void> {
  await replaceFile(path, async (file) => {
    await file.writeFile(JSON.stringify({ boot, addresses }));
  });
}
