import { DEFAULT_FRAME_BYTES, DEFAULT_TABLE_BYTES } from "../../src/http/h2/codes.ts";

/** What the load and the upstream read of each other, and of the proxies between them. */
export const FRAME_LIMITS = {
  frameBytes: DEFAULT_FRAME_BYTES,
  blockBytes: 65_536,
  continuations: 8,
};
export const TABLE_LIMITS = { tableBytes: DEFAULT_TABLE_BYTES, listBytes: 65_536, fields: 200 };
