import type { Site } from "../lib/site.ts";
import type { Workbench } from "../lib/workbench.ts";
import type { HttpProtocol } from "../model.ts";

/** Where the memory of one kind of proxy is measured, and how. */
export interface IdleLab {
  readonly bench: Workbench;
  /** One host. */
  readonly site: Site;
  /** What clients, proxies and applications speak. */
  readonly protocol: HttpProtocol;
  readonly signal: AbortSignal;
  /** Where generated configuration and command lines are kept. */
  readonly configFolder: string;
  /** Requests for 115 bytes that each container's path has carried before its memory is read. */
  readonly requests: number;
  /** Time without any work before memory is read. */
  readonly settleMs: number;
  readonly onProgress: (line: string) => void;
}
