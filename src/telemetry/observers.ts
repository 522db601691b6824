import type { Watch } from "../core/exchange-details.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { LogSwitches } from "../core/log-mark.ts";
import type { DataUpdate } from "../core/snapshot.ts";
import type { AccessLog } from "./access-log/access-log.ts";
import type { LogChooser } from "./access-log/log-chooser.ts";
import type { InstalledTap, WorkerTaps } from "./tap/worker-taps.ts";
import type { ExchangeLog } from "./worker-recorder.ts";

export interface ObserversParts {
  readonly log: AccessLog;
  readonly chooser: LogChooser;
  readonly taps: WorkerTaps;
  /** Told what the data path is to find out from now on. */
  readonly watch: Watch;
  /** Told who looks at each exchange from now on; null: nobody, and an exchange costs one branch. */
  readonly attach: (log: ExchangeLog | null) => void;
}

/** Who looks at the exchanges of one worker: its access log and taps. Both can come and go while traffic flows. */
export class Observers implements ExchangeLog {
  readonly #parts: ObserversParts;
  #logs = false;
  #taps = false;

  constructor(parts: ObserversParts) {
    this.#parts = parts;
    this.#settle();
  }

  write(facts: Readonly<RequestFacts>): boolean | null {
    const { log, taps } = this.#parts;
    if (this.#taps) taps.see(facts);
    return this.#logs ? log.write(facts) : null;
  }

  setSwitches(switches: LogSwitches): void {
    this.#parts.chooser.switches = switches;
    this.#settle();
  }

  /** Registrations may say something of the access log. */
  apply(update: DataUpdate): void {
    this.#parts.chooser.apply(update);
    this.#settle();
  }

  addTap(tap: InstalledTap): void {
    this.#parts.taps.add(tap);
    this.#settle();
  }

  removeTap(id: number): void {
    this.#parts.taps.remove(id);
    this.#settle();
  }

  #settle(): void {
    const { log, chooser, taps, watch, attach } = this.#parts;
    this.#logs = chooser.isOn;
    this.#taps = !taps.isEmpty;
    watch.texts = this.#logs || this.#taps;
    watch.details = (this.#logs && log.needsDetails) || (this.#taps && taps.needsDetails);
    attach(watch.texts ? this : null);
  }
}
