import { writeFile } from "node:fs/promises";
import * as z from "zod";
import { registryCall } from "../lib/registry-call.ts";

/**
 * A process that has a registry make a join token for one host, and writes it to a file that only its owner reads:
 * `node fetch-join-token.ts URL HOST FILE`, where URL is the registry's plain port, which answers already. A process of its
 * own, because it runs in the registry's network namespace.
 */
const [, , url = "", host = "", file = ""] = process.argv;
const answer = z.object({ token: z.string() });
const { token } = answer.parse(await registryCall(url, "POST", "/v1/identity/tokens", { host }));
await writeFile(file, `${token}\n`, { mode: 0o600 });
