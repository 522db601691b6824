import { isIP } from "node:net";
import * as z from "zod";
import { canonicalAddress } from "../../core/address.ts";
import type { ServiceRef } from "../../core/traffic.ts";
import type { Work } from "../translator.ts";

const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const NAME = new RegExp(`^(?:\\*|(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*)$`);
const OF_CLUSTER = new RegExp(`^(${LABEL})\\.(${LABEL})\\.svc\\.cluster\\.local$`);

/** A host: a name, `*.` before one, `*`, or an IP address. In lower case, without a dot at the end. */
export const hostField = z
  .string()
  .min(1, "must not be empty")
  .max(254)
  .transform((text, context) => {
    if (isIP(text) !== 0) return canonicalAddress(text);
    const name = text.toLowerCase().replace(/\.$/, "");
    if (NAME.test(name)) return name;
    const message = "must be a host name, *. before one, or an IP address; ports stand apart";
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });

/** A host without wildcards. */
export const exactHostField = hostField.refine((host) => !host.includes("*"), {
  message: "must be one host: * is not taken",
});

/**
 * What a host in a resource means (Istio's short names): `reviews` is a service of the resource's namespace,
 * `reviews.prod.svc.cluster.local` one of `prod`; anything else is a host name as it stands.
 */
export function serviceRefOf(host: string, namespace: string): ServiceRef {
  if (host !== "*" && !/[.:]/.test(host)) return `${namespace}/${host}`;
  const [, name, ofNamespace] = OF_CLUSTER.exec(host) ?? [];
  return name === undefined ? `host:${host}` : `${ofNamespace}/${name}`;
}

/** Topic of a ServiceEntry: a host that it makes known. */
export const hostTopic = (host: string) => `host ${host}`;

/** Istio completes names without dots only: `reviews.prod` is for it a host of the internet, which none may be. */
export function warnOfHalfName(
  work: Work<unknown>,
  path: readonly PropertyKey[],
  host: string,
): void {
  const [name = "", namespace = "", ...rest] = host.split(".");
  if (namespace === "" || host.includes("*") || isIP(host) !== 0) return;
  const isNamespaced = rest.length === 0 || (rest.length === 1 && rest[0] === "svc");
  if (!isNamespaced) return;
  const known = [host, `*${host.slice(name.length)}`];
  if (known.some((each) => work.context.about(hostTopic(each)).length > 0)) return;
  const full = `${name}.${namespace}.svc.cluster.local`;
  const message = `stands for the host ${host}, which no ServiceEntry names; the service ${name} of the namespace ${namespace} is ${full}`;
  work.warn(path, message);
}
