import type { Target } from "./target.ts";
import { chunked } from "./targets/chunked.ts";
import { detection } from "./targets/detection.ts";
import { frames } from "./targets/frames.ts";
import { h1Head } from "./targets/h1-head.ts";
import { hpack } from "./targets/hpack.ts";
import { session } from "./targets/session.ts";

/** One for each codec. */
export const TARGETS: readonly Target[] = [frames, hpack, session, h1Head, chunked, detection];
