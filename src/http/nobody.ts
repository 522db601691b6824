import type { ConnHandler } from "./carrier.ts";

/** Holds the place of a handler until there is one, within the same turn of the event loop. */
export const NOBODY: ConnHandler = {
  onBytes: ignore,
  onFin: ignore,
  onDrain: ignore,
  onClose: ignore,
};

function ignore(): void {
  // Nobody is there yet.
}
