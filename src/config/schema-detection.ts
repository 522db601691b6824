import * as z from "zod";
import { count, ms } from "./setting-fields.ts";

export const detection = z
  .strictObject({
    peekMs: ms(
      200,
      "A client that is silent for this long gets the opaque path even where HTTP was seen before.",
    ),
    memory: count(10_000, "Destinations whose protocol is remembered, per worker."),
    memoryTtlMs: ms(3_600_000, "How long a protocol is remembered."),
  })
  .prefault({})
  .describe("Protocol detection for destinations that declare none.");
