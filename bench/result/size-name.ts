import type { ScaleDimension } from "../model.ts";

/** What a reader calls the things of which there are more and more. */
export function sizeName(dimension: ScaleDimension): string {
  return dimension === "known" ? "known services" : dimension;
}
