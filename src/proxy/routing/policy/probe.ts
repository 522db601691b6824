import type { RequestHead } from "../../../http/message.ts";
import { fieldOf } from "./field.ts";

/** How the kubelet names itself: `kube-probe/1.30`. */
const KUBELET = "kube-probe/";
const NO_PATHS: ReadonlySet<string> = new Set();

/**
 * Is it a health probe, which must not be shed: what it asks is whether the endpoint lives, and an endpoint that is
 * declared dead for being busy leaves its load to the others? Known by the kubelet's User-Agent, or by the path
 * (without query) of a registered check. Only GET and HEAD without a body, for anybody can send such a name.
 */
export function isProbe(head: RequestHead, checkPaths: ReadonlySet<string> = NO_PATHS): boolean {
  if (head.method !== "GET" && head.method !== "HEAD") return false;
  if (head.framing !== "none") return false;
  if (checkPaths.size > 0 && checkPaths.has(withoutQuery(head.path))) return true;
  return fieldOf(head.fields, "user-agent")?.startsWith(KUBELET) ?? false;
}

function withoutQuery(path: string): string {
  const query = path.indexOf("?");
  return query === -1 ? path : path.slice(0, query);
}
