import type { KeyObject, X509Certificate } from "node:crypto";
import * as z from "zod";
import type { TrustBundle } from "../../core/model.ts";
import { RegistryError } from "../registry-error.ts";
import { type GivenFiles, readGivenAuthority } from "./given-authority.ts";
import { PrivateConflictError, type PrivateEntry, type PrivateStore } from "./private-store.ts";
import { type SignedLeaf, Signer } from "./signer.ts";

/**
 * Where a change of the authority stands. `steady`: one authority. `begun`: the new root is trusted as well, the old
 * authority signs. `issuing`: both are trusted, the new one signs.
 */
export type RotationPhase = "steady" | "begun" | "issuing";

export interface AuthorityOptions {
  /** Where it is kept; registries that share it are one authority. */
  readonly store: PrivateStore;
  readonly trustDomain: string;
  /** Null: a root of its own is made. */
  readonly given: GivenFiles | null;
  /** Time of day, ms since the epoch. */
  readonly wall: () => number;
  /** Takes what an operator should know of the start. */
  warn(message: string, facts?: Record<string, unknown>): void;
}

const stored = z.object({ chain: z.string(), privateKey: z.string() });
const fileSchema = z.object({
  format: z.literal("hostmesh-authorities/1"),
  trustDomain: z.string(),
  phase: z.enum(["steady", "begun", "issuing"]),
  current: stored,
  next: stored.nullable(),
});

/** The entry of the store. */
const NAME = "authorities.json";

interface State {
  readonly phase: RotationPhase;
  readonly current: Signer;
  /** Null in the steady phase, and only then. */
  readonly next: Signer | null;
}

/**
 * The mesh's certificate authority. What is stored is the truth, keys included: what settings name is what the next
 * rotation begins with, so that a changed file never takes the mesh's trust away at a restart.
 */
export class CertificateAuthority {
  readonly #options: AuthorityOptions;
  #state: State;
  /** Of the entry that the state was read from, or written to. */
  #version: string;
  /** Of the present state: the same array until it changes. */
  #anchors: readonly X509Certificate[];
  #isWriting = false;
  /** Reads and writes of the entry come one after the other, so that none brings back what another has replaced. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(options: AuthorityOptions, state: State, version: string) {
    this.#options = options;
    this.#state = state;
    this.#version = version;
    this.#anchors = anchorsOf(state);
  }

  /**
   * The stored one; where there is none, the first registry makes it and the others take it. Rejects where the entry
   * cannot be used, is of another trust domain, or the given authority is unusable.
   */
  static async open(options: AuthorityOptions): Promise<CertificateAuthority> {
    const { store, trustDomain, given, wall } = options;
    const entry = await store.read(NAME);
    const wanted = given === null ? null : await readGivenAuthority(given, trustDomain, wall());
    if (entry !== null) {
      const state = readState(entry.content, options);
      const authority = new CertificateAuthority(options, state, entry.version);
      if (wanted !== null) await authority.#compare(wanted);
      return authority;
    }
    const current = wanted ?? Signer.makeRoot(trustDomain, wall());
    const state: State = { phase: "steady", current, next: null };
    try {
      const version = await store.write(NAME, contentOf(state, trustDomain), null);
      return new CertificateAuthority(options, state, version);
    } catch (error) {
      if (error instanceof PrivateConflictError) return CertificateAuthority.open(options);
      throw error;
    }
  }

  phase(): RotationPhase {
    return this.#state.phase;
  }

  /** What daemons are told. */
  trust(): TrustBundle {
    return {
      trustDomain: this.#options.trustDomain,
      anchors: this.#anchors.map(String),
      issuer: this.signer().id,
    };
  }

  /** The same array until they change. */
  anchors(): readonly X509Certificate[] {
    return this.#anchors;
  }

  /** Who signs leaves now. */
  signer(): Signer {
    const { phase, current, next } = this.#state;
    return phase === "issuing" && next !== null ? next : current;
  }

  /**
   * Who signs the registry's own certificate: the old authority until the end, so that hosts that were away, and join
   * tokens that name its root, still find a registry that they know.
   */
  ownSigner(): Signer {
    return this.#state.current;
  }

  /** The two of a rotation; `next` is null without one. */
  pair(): { readonly current: Signer; readonly next: Signer | null } {
    return this.#state;
  }

  /** Throws 503 where the authority has expired; else the leaf ends with it at the latest. */
  issue(identity: string, publicKey: KeyObject, lifetimeMs: number): SignedLeaf {
    return this.#sign(this.signer(), identity, publicKey, lifetimeMs);
  }

  /** A leaf of the registry's own. */
  issueOwn(identity: string, publicKey: KeyObject, lifetimeMs: number): SignedLeaf {
    return this.#sign(this.ownSigner(), identity, publicKey, lifetimeMs);
  }

  /** Makes the next authority, or reads the given one, and trusts it. Rejects with 409 in another phase. */
  async begin(): Promise<void> {
    const { given, trustDomain, wall } = this.#options;
    const { current } = this.#expect("steady", "a rotation is under way");
    const next =
      given === null
        ? Signer.makeRoot(trustDomain, wall())
        : await readGivenAuthority(given, trustDomain, wall()).catch((cause: Error) => {
            throw new RegistryError(409, cause.message, undefined, cause);
          });
    if (next.id === current.id) {
      const reason = "registry.caFile holds the authority that signs already: replace it first";
      throw new RegistryError(409, reason);
    }
    // Reading the files took a while, in which somebody else may have begun.
    this.#expect("steady", "a rotation is under way");
    await this.#move({ phase: "begun", current, next });
  }

  /** Lets the new authority sign. */
  async switchIssuer(): Promise<void> {
    const state = this.#expect("begun", "no rotation waits for its new authority to sign");
    await this.#move({ ...state, phase: "issuing" });
  }

  /** Trusts the new authority alone. */
  async finish(): Promise<void> {
    const { next } = this.#expect("issuing", "the new authority does not sign yet");
    if (next !== null) await this.#move({ phase: "steady", current: next, next: null });
  }

  #sign(signer: Signer, identity: string, publicKey: KeyObject, lifetimeMs: number): SignedLeaf {
    const nowMs = this.#options.wall();
    if (nowMs >= signer.notAfterMs) {
      const ended = new Date(signer.notAfterMs).toISOString();
      throw new RegistryError(503, `the certificate authority has expired (${ended})`);
    }
    return signer.sign(identity, publicKey, { nowMs, lifetimeMs });
  }

  #expect(phase: RotationPhase, otherwise: string): State {
    if (this.#isWriting) throw new RegistryError(409, "another step of the rotation is under way");
    if (this.#state.phase === phase) return this.#state;
    throw new RegistryError(409, `${otherwise} (phase: ${this.#state.phase})`);
  }

  /**
   * Takes over what another registry has stored. True: it was another state. An entry that is gone is put back: a registry that
   * starts would else make another root. Rejects where it can be neither read nor written; the authority stays as it was.
   */
  refresh(): Promise<boolean> {
    return this.#inTurn(async () => {
      const { store, trustDomain, warn } = this.#options;
      const entry = await store.read(NAME);
      if (entry !== null) return this.#adopt(entry);
      try {
        this.#version = await store.write(NAME, contentOf(this.#state, trustDomain), null);
      } catch (error) {
        // Another registry was faster, which the store tells of again.
        if (error instanceof PrivateConflictError) return false;
        throw error;
      }
      warn("the stored authority was gone and is put back", { place: store.placeOf(NAME) });
      return false;
    });
  }

  /** Is this what tells of the authority's entry? */
  isAbout(name: string): boolean {
    return name === NAME;
  }

  /** Stored first: what was published must not be forgotten. */
  async #move(state: State): Promise<void> {
    this.#isWriting = true;
    try {
      await this.#inTurn(() => this.#write(state));
    } finally {
      this.#isWriting = false;
    }
  }

  async #write(state: State): Promise<void> {
    const { store, trustDomain } = this.#options;
    const content = contentOf(state, trustDomain);
    let version: string;
    try {
      version = await store.write(NAME, content, this.#version);
    } catch (error) {
      // A write that failed may have been done all the same: what is there now tells.
      const present = await store.read(NAME).catch(() => null);
      if (present === null) throw error;
      if (present.content === content) version = present.version;
      else if (this.#adopt(present)) {
        const reason = "another registry has changed the authority meanwhile: look again";
        throw new RegistryError(409, reason, undefined, error);
      } else throw error;
    }
    this.#take(state, version);
  }

  /** False: it is what is known already. */
  #adopt({ content, version }: PrivateEntry): boolean {
    if (version === this.#version) return false;
    this.#take(readState(content, this.#options), version);
    return true;
  }

  #take(state: State, version: string): void {
    this.#state = state;
    this.#version = version;
    this.#anchors = anchorsOf(state);
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#last.then(task, task);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** An authority under the same root may take over at once; another root needs a rotation. */
  async #compare(wanted: Signer): Promise<void> {
    const { phase, current, next } = this.#state;
    if (wanted.id === current.id || wanted.id === next?.id) return;
    if (phase === "steady" && wanted.anchorId === current.anchorId) {
      await this.#move({ phase, current: wanted, next: null }).catch((error: unknown) => {
        // Another registry with the same files was faster.
        if (!(error instanceof RegistryError)) throw error;
      });
      return;
    }
    const reason = "registry.caFile holds another root than the mesh trusts; it is not used yet";
    this.#options.warn(reason, { remedy: "hostmesh identity rotate-ca" });
  }
}

/** Two authorities may stand under one root. */
function anchorsOf({ current, next }: State): X509Certificate[] {
  if (next === null || next.anchorId === current.anchorId) return [current.anchorCertificate];
  return [current.anchorCertificate, next.anchorCertificate];
}

function contentOf({ phase, current, next }: State, trustDomain: string): string {
  const content: z.infer<typeof fileSchema> = {
    format: "hostmesh-authorities/1",
    ...{ trustDomain, phase, current: current.stored, next: next?.stored ?? null },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

function readState(content: string, { store, trustDomain }: AuthorityOptions): State {
  const unusable = (reason: string) =>
    new Error(`the certificate authority in ${store.placeOf(NAME)} cannot be used: ${reason}`);
  let state: State;
  let its: string;
  try {
    const parsed = fileSchema.parse(JSON.parse(content));
    const next = parsed.next === null ? null : new Signer(parsed.next);
    state = { phase: parsed.phase, current: new Signer(parsed.current), next };
    its = parsed.trustDomain;
  } catch {
    // What was thrown may quote the file, and the file holds keys.
    throw unusable("it is malformed");
  }
  if ((state.phase === "steady") !== (state.next === null)) throw unusable("it is malformed");
  if (its === trustDomain) return state;
  throw unusable(`it is of trust domain ${its}, and identity.trustDomain is ${trustDomain}`);
}
