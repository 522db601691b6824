/** What Ctrl-C and SIGTERM abort, until it is released. */
export interface SignalStop {
  readonly stop: AbortController;
  release(): void;
}

export function stopOnSignals(): SignalStop {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  // Not once: a Ctrl-C under npm comes twice, and the second must not end this before the cursor is back.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, abort);
  return {
    stop,
    release() {
      for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, abort);
    },
  };
}
