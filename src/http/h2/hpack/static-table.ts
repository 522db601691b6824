/** The static table (RFC 7541 appendix A), from index 1 on. */
const STATIC_TABLE: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];

/** Entries of the static table; the dynamic table begins at the next index (RFC 7541 section 2.3.3). */
export const STATIC_ENTRIES = STATIC_TABLE.length;

/** By index; nothing is at 0. */
export const STATIC_NAMES: readonly string[] = ["", ...STATIC_TABLE.map(([name]) => name)];
export const STATIC_VALUES: readonly string[] = ["", ...STATIC_TABLE.map(([, value]) => value)];

/** Where a name stands in the static table. */
export interface StaticName {
  /** Of the first of its entries. */
  readonly index: number;
  /** Values of its entries, which follow one another; empty where there is the name alone. */
  readonly values: readonly string[];
}

export const STATIC_BY_NAME: ReadonlyMap<string, StaticName> = new Map(
  [...new Set(STATIC_NAMES.slice(1))].map((name) => {
    const values = STATIC_TABLE.filter((entry) => entry[0] === name && entry[1] !== "");
    return [name, { index: STATIC_NAMES.indexOf(name), values: values.map(([, value]) => value) }];
  }),
);
