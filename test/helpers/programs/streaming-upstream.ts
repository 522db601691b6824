/** The endpoint of streaming tests as a program of its own. Prints its port. */
import { patternServer } from "./pattern-server.ts";

const server = await patternServer({ firstMs: 400, everyBytes: 256 * 2 ** 20, thenMs: 50 });
process.stdout.write(`${server.port}\n`);
