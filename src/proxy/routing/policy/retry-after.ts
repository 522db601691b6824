import type { ResponseHead } from "../../../http/message.ts";
import { fieldOf } from "./field.ts";

/** No endpoint is waited for any longer, whatever it says (Envoy's `max_interval` of the rate-limited backoff). */
const LONGEST_MS = 300_000;

const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
const DAY = "(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?";
const TIME = "(\\d\\d):(\\d\\d):(\\d\\d)";
/** The three forms of RFC 9110 section 5.6.7; a recipient has to accept them all. */
const IMF_FIXDATE = new RegExp(`^${DAY}, (\\d\\d) (\\w{3}) (\\d{4}) ${TIME} GMT$`);
const RFC_850 = new RegExp(`^${DAY}, (\\d\\d)-(\\w{3})-(\\d\\d) ${TIME} GMT$`);
const ASCTIME = new RegExp(`^${DAY} (\\w{3}) ([ \\d]\\d) ${TIME} (\\d{4})$`);

/** Did a proxy refuse the request because it, or what it protects, has too much to do (Envoy's header)? */
export function isOverloaded(head: ResponseHead): boolean {
  return fieldOf(head.fields, "x-envoy-overloaded") === "true";
}

/**
 * How long the endpoint asks to wait (`Retry-After`, RFC 9110 section 10.2.3: seconds or a date), in ms, at most 300 s;
 * null where it does not say, or nothing that can be understood.
 */
export function retryAfterMs(head: ResponseHead, nowWallMs: number): number | null {
  const value = fieldOf(head.fields, "retry-after");
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1_000, LONGEST_MS);
  const atMs = dateOf(value, nowWallMs);
  return atMs === null ? null : Math.min(Math.max(0, atMs - nowWallMs), LONGEST_MS);
}

/** An HTTP-date in ms since the epoch. Two digits of a year mean the one at most 50 years ahead (RFC 9110). */
function dateOf(text: string, nowWallMs: number): number | null {
  const fixed = IMF_FIXDATE.exec(text);
  if (fixed !== null) return timeOf(fixed[3]!, fixed[2]!, fixed[1]!, fixed.slice(4));
  const old = RFC_850.exec(text);
  if (old !== null) {
    const thisYear = new Date(nowWallMs).getUTCFullYear();
    const year = thisYear - (thisYear % 100) + Number(old[3]);
    const nearest = year > thisYear + 50 ? year - 100 : year;
    return timeOf(String(nearest), old[2]!, old[1]!, old.slice(4));
  }
  const asc = ASCTIME.exec(text);
  if (asc !== null) return timeOf(asc[6]!, asc[1]!, asc[2]!, asc.slice(3));
  return null;
}

function timeOf(year: string, month: string, day: string, time: readonly string[]): number | null {
  const place = MONTHS.indexOf(month);
  if (place % 3 !== 0) return null;
  const [hours = 0, minutes = 0, seconds = 0] = time.map(Number);
  // 60 is a leap second.
  if (hours > 23 || minutes > 59 || seconds > 60) return null;
  const date = new Date(Date.UTC(Number(year), place / 3, Number(day), hours, minutes, seconds));
  return date.getUTCMonth() === place / 3 ? date.getTime() : null;
}
