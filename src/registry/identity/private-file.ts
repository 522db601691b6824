import { chmod, mkdir, readFile } from "node:fs/promises";
import { replaceFile } from "../replace-file.ts";

/** Files with secrets: 0600 in a folder of 0700, and always either the old content or the new. */

const OWNER_ONLY_FOLDER = 0o700;
const OWNER_ONLY = 0o600;

/** Makes the folder, or takes it from everybody but its owner. */
export async function makePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: OWNER_ONLY_FOLDER });
  await chmod(path, OWNER_ONLY_FOLDER);
}

/** Resolves when the content is on the disk under its name. */
export async function writePrivateFile(path: string, content: string): Promise<void> {
  await replaceFile(path, (file) => file.writeFile(content));
}

/** Null where there is no such file. */
export async function readPrivateFile(path: string): Promise<string | null> {
  try {
    const content = await readFile(path, "utf8");
    await chmod(path, OWNER_ONLY);
    return content;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
