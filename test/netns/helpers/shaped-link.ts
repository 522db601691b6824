import { existsSync } from "node:fs";
import type { LinkShape, LinkTally } from "../../helpers/link-shape.ts";
import type { Namespace } from "./namespace.ts";
import { Script } from "./program.ts";
import { must } from "./shell.ts";

/** Why links cannot be shaped here, or false. */
export function noTunReason(): string | false {
  return existsSync("/dev/net/tun") ? false : "the kernel has no tun device";
}

/**
 * Joins two namespaces by a pair of tun devices and a process that carries packets between them, and may delay, lose,
 * reorder, duplicate, slow down or cut. The process lives in the first namespace and ends with it, or with its
 * parent; the devices vanish with the process.
 */
export class ShapedLink {
  /** What carries the packets. */
  readonly program: Script;

  private constructor(program: Script) {
    this.program = program;
  }

  /** The devices have no addresses yet and are down. Same seed, same chance. */
  static async start(
    [a, deviceA]: readonly [Namespace, string],
    [b, deviceB]: readonly [Namespace, string],
    seed = 1,
  ): Promise<ShapedLink> {
    // Both are made in the first namespace, where a name may be taken that is free in the second.
    const made = `${deviceB}-far`;
    const script = await Script.start(a, "tun-link", [deviceA, made, seed]);
    await must("ip", ["-n", a.name, "link", "set", made, "netns", b.name, "name", deviceB]);
    return new ShapedLink(script);
  }

  /** Replaces the shape of one direction (0: away from the first namespace), or of both. */
  async shape(shape: LinkShape, direction?: 0 | 1): Promise<void> {
    await this.program.ask({ shape, ...(direction === undefined ? {} : { direction }) });
  }

  /** What has happened so far: away from the first namespace, and towards it. */
  async tallies(): Promise<readonly [LinkTally, LinkTally]> {
    const { tallies } = await this.program.ask<{ tallies: [LinkTally, LinkTally] }>({});
    return tallies;
  }
}
