import type { RequestHead } from "../../../http/message.ts";
import { fieldOf } from "./field.ts";

/** How the kubelet names itself: `kube-probe/1.30`. */
const KUBELET = "kube-probe/";

/**
 * Is it a health probe, which must not be shed: what it asks is whether the endpoint lives, and an endpoint that is
 * declared dead for being busy leaves its load to the others? Known by the kubelet's User-Agent. Only GET and HEAD
 * without a body; and anybody can send such a name, so it lifts no other limit.
 */
export function isProbe(head: RequestHead): boolean {
  if (head.method !== "GET" && head.method !== "HEAD") return false;
  if (head.framing !== "none") return false;
  return fieldOf(head.fields, "user-agent")?.startsWith(KUBELET) ?? false;
}
