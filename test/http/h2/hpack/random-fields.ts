import type { Random } from "../../../../src/core/random.ts";

const NAMES = [
  ...["accept", "accept-encoding", "authorization", "cache-control", "content-length"],
  ...["content-type", "cookie", "date", "grpc-timeout", "set-cookie", "te", "traceparent"],
  ...["user-agent", "vary", "x-a", "x-request-id", "x-user"],
];
const VALUES = [
  ...["", "0", "200", "gzip, deflate", "application/grpc", "trailers", "no-cache", "value"],
  ...["Mozilla/5.0 (X11; Linux x86_64)", "a=b; c=d; e=0123456789", "\x80\xff\xa0 text"],
];
const CHARACTERS = " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\x80\xa0\xe9\xff";
const NAME_CHARACTERS = "!#$%&'*+-.^_`|~0189abcxyz";

function pick<T>(random: Random, of: ArrayLike<T>): T {
  return of[Math.floor(random() * of.length)]!;
}

function text(random: Random, characters: string, longest: number): string {
  const length = Math.floor(random() ** 3 * longest);
  return Array.from({ length }, () => pick(random, characters)).join("");
}

/** Up to 20 fields, of names and values that come again and of such that were never seen; no white space around values. */
export function randomFields(random: Random, longest = 1_500): string[] {
  const fields: string[] = [];
  for (let count = Math.floor(random() * 20) + 1; count > 0; count--) {
    const name = random() < 0.8 ? pick(random, NAMES) : `x${text(random, NAME_CHARACTERS, 200)}`;
    const value = random() < 0.6 ? pick(random, VALUES) : text(random, CHARACTERS, longest).trim();
    fields.push(name, value);
  }
  return fields;
}
