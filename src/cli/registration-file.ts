import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { parseDeclarations, type RegistryCall } from "../../daemon/declarations.ts";
import { CliError, EXIT } from "./cli-error.ts";

/** What a file registers, as calls of the registry; `-` is standard input. */
export async function registrationFile(
  file: string,
  host: string,
): Promise<readonly RegistryCall[]> {
  const content = await read(file);
  const calls = parse(file, content, host);
  if (calls.length > 0) return calls;
  throw new CliError(`${file} registers nothing`, {
    exitCode: EXIT.usage,
    remedy: "it needs a service definition, or a list of services, endpoints or workloads",
  });
}

function parse(file: string, content: string, host: string): readonly RegistryCall[] {
  try {
    return parseDeclarations(file, content, host).apply;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(message, { exitCode: EXIT.usage, cause });
  }
}

async function read(file: string): Promise<string> {
  try {
    return await (file === "-" ? text(process.stdin) : readFile(file, "utf8"));
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new CliError(`cannot read ${file}: ${why}`, { exitCode: EXIT.usage, cause });
  }
}
