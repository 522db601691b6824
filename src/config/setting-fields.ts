import { isIP } from "node:net";
import * as z from "zod";
import { parsePlace } from "../core/address.ts";

/** Forms that settings share. Durations end in `Ms`, sizes in `Bytes`. */
export const ms = (fallback: number, text: string) =>
  z.number().int().min(0).default(fallback).describe(text);
export const count = (fallback: number, text: string) =>
  z.number().int().min(1).default(fallback).describe(text);
export const port = (fallback: number, text: string) =>
  z.number().int().min(0).max(65_535).default(fallback).describe(text);

export const address = () => z.string().refine((text) => isIP(text) !== 0, "an IP address");
export const subnet = (family?: 4 | 6) =>
  z
    .string()
    .refine(
      (text) => isSubnet(text, family),
      `a subnet such as ${family === 6 ? "fd00::/64" : "10.0.0.0/8"}`,
    );
export const httpUrl = () =>
  z
    .string()
    .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ""), "an http or https URL");
export const optionalHttpsUrl = () =>
  z
    .string()
    .refine((text) => text === "" || URL.parse(text)?.protocol === "https:", "an https URL");

function isSubnet(text: string, family?: 4 | 6): boolean {
  const [base = "", bits = "", ...rest] = text.split("/");
  const found = isIP(base);
  if (rest.length > 0 || found === 0 || (family !== undefined && found !== family)) return false;
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (found === 4 ? 32 : 128);
}

/** `HOST` or `HOST:PORT`; an IPv6 address may stand without brackets where there is no port. */
export const optionalPlace = (description: string) =>
  z
    .string()
    .refine((text) => text === "" || parsePlace(text, 1) !== null, "HOST or HOST:PORT")
    .default("")
    .describe(description);
