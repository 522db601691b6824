import { isIP } from "node:net";
import * as z from "zod";
import { canonicalAddress, parseHostPort } from "../core/address.ts";

/** Longest metadata value and number of entries; Consul's limits. */
const META_VALUE = 512;
const META_ENTRIES = 64;
const MAX_TEXT = 4_096;

/** Name of a service or workload: the proxy finds services as NAME.NAMESPACE, so it has no dot. */
export const nameField = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/,
    "must be 1 to 63 letters, digits, - or _, beginning and ending with a letter or digit",
  );
export const namespaceField = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    "must be 1 to 63 lower-case letters, digits or -, beginning and ending with a letter or digit",
  );
/** Name of a host (node). */
export const hostField = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?$/,
    "must be a host name: letters, digits, -, _ and .",
  );
/** Id of an instance or a check on its host. Slashes are allowed, path segments `.` and `..` are not. */
export const idField = z
  .string()
  .max(256)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.:@~/+=,-]*$/, "must be letters, digits and _ . : @ ~ / + = , -")
  .refine((id) => !id.split("/").some((part) => part === "." || part === ".." || part === ""), {
    message: "must not hold empty, . or .. path segments",
  });
/** An address that can be dialled. */
export const addressField = z
  .string()
  .refine((text) => isIP(text) !== 0 && !text.includes("%"), {
    message: "must be an IPv4 or IPv6 address",
  })
  .transform(canonicalAddress)
  .refine((address) => address !== "0.0.0.0" && address !== "::", {
    message: "must not be the unspecified address",
  });
export const portField = z.number().int().min(1).max(65_535);
export const weightField = z.number().int().min(0).max(65_535);
export const textField = z.string().max(MAX_TEXT);
export const metaField = z
  .record(
    z.string().regex(/^[A-Za-z0-9_.\-/]{1,128}$/, "keys are 1 to 128 letters, digits and _ . - /"),
    z.string().max(META_VALUE),
  )
  .refine((meta) => Object.keys(meta).length <= META_ENTRIES, {
    message: `must have at most ${META_ENTRIES} entries`,
  });
/** Labels of Kubernetes' form: what policies select workloads by. */
export const labelsField = z
  .record(
    z
      .string()
      .regex(
        /^([a-z0-9][a-z0-9.-]{0,252}\/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/,
        "names are 1 to 63 letters, digits and _ . -, behind a domain and a slash if need be",
      ),
    z
      .string()
      .regex(
        /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/,
        "values are at most 63 letters, digits and _ . -",
      ),
  )
  .refine((labels) => Object.keys(labels).length <= META_ENTRIES, {
    message: `must have at most ${META_ENTRIES} entries`,
  });
export const tagsField = z.array(z.string().min(1).max(255)).max(64);
export const protocolField = z.enum(["http", "http2", "grpc", "tls", "tcp"]);
export const healthField = z.enum(["passing", "warning", "critical"]);
export const portNameField = z
  .string()
  .regex(/^[a-z0-9-]{0,63}$/, "must be at most 63 lower-case letters, digits or -");
/** A method, and header fields, as RFC 9110 section 5 spells them: nothing that could split a request. */
export const methodField = z
  .string()
  .max(32)
  .regex(/^[A-Za-z!#$%&'*+.^_`|~0-9-]+$/, "must be an HTTP method");
export const headersField = z
  .record(
    z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, "must be a header name"),
    z.array(
      z
        .string()
        .max(MAX_TEXT)
        .regex(/^[\t\x20-\x7e\x80-\xff]*$/, "must be a header value"),
    ),
  )
  .refine((headers) => Object.keys(headers).length <= 32, { message: "at most 32 headers" });
/** An http or https URL without credentials. */
export const urlField = z
  .string()
  .max(2_048)
  .refine(
    (text) => {
      const url = URL.canParse(text) ? new URL(text) : null;
      return (
        url !== null &&
        (url.protocol === "http:" || url.protocol === "https:") &&
        url.username === "" &&
        url.password === ""
      );
    },
    { message: "must be an http or https URL without credentials" },
  );

/** `HOST:PORT` or `HOST:PORT/SERVICE`: whose health is asked for by gRPC. */
export const grpcTargetField = z
  .string()
  .max(512)
  .transform((text, context) => {
    const slash = text.indexOf("/");
    const target = parseHostPort(slash === -1 ? text : text.slice(0, slash), 0);
    const service = slash === -1 ? "" : text.slice(slash + 1);
    // One byte of protocol buffers for its length.
    if (target?.port && /^[\w./-]{0,127}$/.test(service)) {
      return { address: target.host, port: target.port, service };
    }
    context.addIssue({ code: "custom", message: "must be HOST:PORT or HOST:PORT/SERVICE" });
    return z.NEVER;
  });
