import { openSite } from "../../bench/lib/site.ts";

/** A process that opens a cross-host site and is then killed; with `throw` it dies of an exception instead. */
const { signal } = new AbortController();
await openSite("cross-host", { workers: 1, signal });
console.log("open");
if (process.argv[2] === "throw") throw new Error("as asked");
setInterval(() => {}, 1_000);
