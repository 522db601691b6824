import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { TapItem } from "../../../sight/tap-event.ts";
import type { Alert } from "../model/alerts.ts";
import type { History } from "../model/history.ts";
import type { Route } from "../model/route.ts";
import type { Api } from "../net/api.ts";
import type { Live } from "../net/live.ts";
import type { ConfigResource, PageReport, Session } from "../net/types.ts";

/** What every view is given. A view is shown only while there is a report. */
export interface PageState {
  readonly report: PageReport;
  readonly history: History;
  /** Of the configuration, as the newest report tells it, but changing seldom enough to load by it. */
  readonly revision: number;
  readonly alerts: readonly Alert[];
  /** Null: not loaded yet. */
  readonly resources: readonly ConfigResource[] | null;
  /** Why the resources could not be loaded; empty: they could. */
  readonly resourcesError: string;
  readonly session: Session;
  readonly api: Api;
  readonly live: Live;
  readonly taps: TapFeed;
  readonly route: Route;
  readonly isDark: boolean;
  /** Loads the resources again, after a change. */
  reloadResources(): void;
  /** Tells people who do not see the page of a change. */
  announce(text: string): void;
}

/** Where the tap page takes events from, as they come on the page's one socket. */
export class TapFeed {
  onItem: ((item: TapItem) => void) | null = null;
  onError: ((message: string) => void) | null = null;
}

export const PageContext = createContext<PageState | null>(null);

export function usePage(): PageState {
  const state = useContext(PageContext);
  if (state === null) throw new Error("a view was shown without a report");
  return state;
}
