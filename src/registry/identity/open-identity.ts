import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { TrustBundle } from "../../core/model.ts";
import type { Caller } from "../caller.ts";
import type { Catalog } from "../catalog.ts";
import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import type { Writer } from "../writer.ts";
import { CertificateAuthority } from "./authority.ts";
import { Enrolment } from "./enrolment.ts";
import { FailureLimit } from "./failure-limit.ts";
import { FolderPrivateStore } from "./folder-private-store.ts";
import { followStore } from "./follow-store.ts";
import { IdentityService } from "./identity-service.ts";
import { IssuanceLog } from "./issuance-log.ts";
import { JoinTokens } from "./join-tokens.ts";
import { EXPIRES_SOON_MS, OwnCertificate } from "./own-certificate.ts";
import type { PrivateStore } from "./private-store.ts";
import { ReplicaBoard } from "./replica-board.ts";
import { Rotation } from "./rotation.ts";
import { RotationEvidence } from "./rotation-evidence.ts";
import { TlsCallers } from "./tls-callers.ts";
import type { TokenReviewRule } from "./token-review.ts";

/** Settings of the registry as a certificate authority, and of its TLS port. */
export interface IdentityOptions {
  readonly trustDomain: string;
  readonly tlsBind: string;
  /** 0: any free port. */
  readonly tlsPort: number;
  /** False: the registry serves without TLS where the port cannot be had, and says so. */
  readonly isRequired: boolean;
  /** Both empty: a root of its own. */
  readonly caFile: string;
  readonly caKeyFile: string;
  readonly leafLifetimeMs: number;
  /** May hosts register what runs on them? Default: only operators register. */
  readonly hostsRegister?: boolean;
  readonly hostLifetimeMs: number;
  /** Address at which other hosts reach daemons on the registry's own host. */
  readonly hostAddress: string;
  /** `host` or `host:port` at which other registries reach the TLS port; absent: its port at `hostAddress`. */
  readonly replicaAddress?: string;
  /** Judges service-account tokens; absent: none is accepted. */
  readonly tokenReview?: TokenReviewRule;
  /** Is there a host of this name? Asked before its certificate is renewed; absent: as long as it asks. Where nobody can be asked: yes. */
  readonly isHost?: (host: string) => Promise<boolean>;
  /** Where authority and join tokens are kept, which is closed with the rest; absent: in `<dataDir>/ca`. */
  readonly store?: PrivateStore;
  /** Told what the mesh trusts, at the start and whenever that changes. */
  readonly published?: (trust: TrustBundle) => void;
  /** Time of day, ms since the epoch. */
  readonly wall?: () => number;
}

export interface IdentityDeps {
  readonly dataDir: string;
  readonly catalog: Catalog;
  readonly writer: Writer;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** Names of the hosts whose daemons watch now. */
  connected(): Iterable<string>;
}

/** What routes and the watch need of it. */
export interface IdentityParts {
  readonly trustDomain: string;
  readonly authority: CertificateAuthority;
  readonly issuance: IssuanceLog;
  readonly tokens: JoinTokens;
  readonly service: IdentityService;
  readonly rotation: Rotation;
  readonly evidence: RotationEvidence;
  readonly board: ReplicaBoard;
  readonly own: OwnCertificate;
  callerOf(request: IncomingMessage): Caller;
  status(): Record<string, unknown>;
  close(): Promise<void>;
}

/** Rejects where an entry of the authority cannot be used, or the given one is unusable; the message says which. */
export async function openIdentity(
  options: IdentityOptions,
  deps: IdentityDeps,
): Promise<IdentityParts> {
  const { trustDomain, caFile, caKeyFile, leafLifetimeMs, wall = Date.now } = options;
  const { catalog, log, timers, clock, writer } = deps;
  // The list of what was issued is this registry's own, wherever the rest is.
  const folder = join(deps.dataDir, "ca");
  const ownFolder = await FolderPrivateStore.open(folder);
  const store: PrivateStore = options.store ?? ownFolder;
  const warn = (message: string, facts?: Record<string, unknown>) => log.warn(message, facts);
  const given = caFile === "" && caKeyFile === "" ? null : { caFile, caKeyFile };
  const authority = await CertificateAuthority.open({ store, trustDomain, given, wall, warn });
  const issuance = await IssuanceLog.open({ folder, wall, warn });
  const tokens = await JoinTokens.open({ store, wall });
  const own = new OwnCertificate({
    ...{ authority, trustDomain, lifetimeMs: leafLifetimeMs, wall, timers, log },
  });
  const evidence: RotationEvidence = new RotationEvidence({
    ...{ authority, trustDomain, catalog, issuance, wall },
    connected: () => deps.connected(),
    others: () => board.others(),
  });
  const board: ReplicaBoard = new ReplicaBoard({
    ...{ store, clock, timers, warn },
    notice: () => evidence.notice(),
    changed: () => evidence.progressed(),
  });
  const { published = () => undefined } = options;
  const rotation = new Rotation({
    ...{ authority, trustDomain, writer, tokens, own, evidence, published, wall },
  });
  const unfollow = followStore({
    ...{ store, timers },
    isWanted: (name) => authority.isAbout(name),
    look: async () => {
      if (!(await authority.refresh())) return;
      log.info("another registry has changed the authority", { phase: authority.phase() });
      await rotation.follow();
      board.touch();
    },
    failed: (_, error) => log.error("the stored authority cannot be read: it stays", { error }),
  });
  // What came before anybody listened.
  if (store.watch !== undefined) await authority.refresh();
  const service = serviceOf(options, deps, { authority, issuance, tokens });
  const callers = new TlsCallers(authority, trustDomain, wall);
  return {
    ...{ trustDomain, authority, issuance, tokens, service, rotation, evidence, board, own },
    callerOf: ({ socket }) => callers.identify(socket),
    status: () => statusOf(authority, own, { ...service.counts(), tokens: tokens.count() }, wall()),
    async close() {
      own.close();
      unfollow();
      await board.close();
      await Promise.all([issuance.close(), tokens.close()]);
      await store.close();
    },
  };
}

function serviceOf(
  { trustDomain, leafLifetimeMs, hostLifetimeMs, tokenReview, isHost }: IdentityOptions,
  { catalog, clock, log }: IdentityDeps,
  own: Pick<IdentityParts, "authority" | "issuance" | "tokens">,
): IdentityService {
  const { authority, issuance, tokens } = own;
  const enrolment = new Enrolment(tokens, tokenReview ?? null, new FailureLimit(clock));
  return new IdentityService({
    ...{ authority, trustDomain, catalog, issuance, enrolment },
    ...{ leafLifetimeMs, hostLifetimeMs, isHost, log },
  });
}

function statusOf(
  authority: CertificateAuthority,
  own: OwnCertificate,
  counts: Record<string, unknown>,
  nowMs: number,
): Record<string, unknown> {
  const { id, notAfterMs } = authority.signer();
  return {
    ...counts,
    phase: authority.phase(),
    authority: {
      issuer: id,
      notAfter: new Date(notAfterMs).toISOString(),
      expiresInMs: Math.max(0, notAfterMs - nowMs),
      expiresSoon: notAfterMs - nowMs < EXPIRES_SOON_MS,
    },
    ownCertificateNotAfter: new Date(own.notAfterMs()).toISOString(),
  };
}
