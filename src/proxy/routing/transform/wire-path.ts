/** All that a request target may not have as it is: what is not visible ASCII, and a fragment. */
const FOREIGN = /[^\x21-\x22\x24-\x7e]/gu;
const LONE_SURROGATE = /\p{Surrogate}/gu;

/** Text of a configuration as part of a request target: what may not stand there is percent-encoded (UTF-8). */
export function wirePath(text: string): string {
  return text.replace(LONE_SURROGATE, "\ufffd").replace(FOREIGN, percentEncoded);
}

function percentEncoded(character: string): string {
  return [...Buffer.from(character)]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("");
}
