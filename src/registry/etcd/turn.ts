import { randomUUID } from "node:crypto";
import type { EtcdClient } from "./etcd-client.ts";
import { grantAnswer, isAbsent, put } from "./etcd-messages.ts";
import type { Layout } from "./layout.ts";

/** So many commits in a row that others were faster with are chance. */
const PATIENCE = 3;
/** A turn that is not used is over after so long, in seconds. */
const TURN_TTL = "5";

/**
 * A large commit takes long to plan, and small ones of other registries could be faster for ever. Who has lost some times
 * asks for a turn, in which nobody else commits.
 */
export class Turn {
  readonly #client: EtcdClient;
  readonly #layout: Layout;
  #losses = 0;
  #token: string | null = null;

  constructor(client: EtcdClient, layout: Layout) {
    this.#client = client;
    this.#layout = layout;
  }

  /** Another commit was first. */
  lost(): void {
    this.#losses++;
  }

  /** The commit was made, or is given up, or the turn has run out. */
  over(): void {
    this.#losses = 0;
    this.#token = null;
  }

  /** What makes a commit one of this turn; null: there is no need of one, or somebody else has it. */
  async token(): Promise<string | null> {
    if (this.#losses < PATIENCE || this.#token !== null) return this.#token;
    const grant = { TTL: TURN_TTL };
    const { ID: lease } = await this.#client.call("/v3/lease/grant", grant, grantAnswer);
    const token = randomUUID();
    const key = this.#layout.turn();
    const { succeeded } = await this.#client.txn({
      compare: [isAbsent(key)],
      success: [put(key, token, lease)],
      failure: [],
    });
    this.#token = succeeded ? token : null;
    return this.#token;
  }
}
