import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { alertsOf } from "./model/alerts.ts";
import { plural } from "./model/format.ts";
import { History } from "./model/history.ts";
import type { Route } from "./model/route.ts";
import type { Api } from "./net/api.ts";
import { Live, type LiveState } from "./net/live.ts";
import { reasonOf, useSlowly } from "./net/page-data.ts";
import type { ConfigResource, PageReport, Session } from "./net/types.ts";
import { PageContext, type PageState, TapFeed } from "./parts/state.ts";
import { readTheme, setTheme, type Theme } from "./parts/theme.ts";
import { Waiting } from "./parts/waiting.tsx";
import { Shell } from "./shell.tsx";

interface Props {
  readonly api: Api;
  readonly session: Session;
  readonly route: Route;
  /** Asks anew who is there: a session may have ended. */
  readonly onSession: () => Promise<void>;
}

/** Configuration is loaded so often at most. */
const RELOAD_EVERY_MS = 10_000;
/** A page that nobody has looked at for so long asks for nothing until somebody does. */
const SLEEP_AFTER_MS = 60_000;

/** The page of somebody who may read it: holds the newest report and gives it to the views. */
export function Page({ api, session, route, onSession }: Props) {
  const { live, taps, report, history, state, reportAtMs } = useLive(onSession);
  const [theme, isDark, chooseTheme] = useTheme();
  const revision = useSlowly(report?.revision, RELOAD_EVERY_MS);
  const [resources, resourcesError, reloadResources] = useResources(api, revision);
  const [said, announce] = useState("");
  const alerts = useMemo(
    () => (report === null ? [] : alertsOf(report, resources)),
    [report, resources],
  );
  // Readers of the browser's profiler see what a report costs.
  useEffect(() => void performance.mark("report shown"), [report]);
  const bad = alerts.length;
  // Only that it changed is told, and how many there are now: a list that is read out every 2 s helps nobody.
  useEffect(() => announce(bad === 0 ? "" : `${plural(bad, "thing")} to look at`), [bad]);
  useEffect(() => {
    if (state.is === "broken") announce("The connection is lost; figures are old.");
  }, [state.is]);
  if (report === null) {
    const words =
      state.is === "broken"
        ? "The registry does not answer; trying again …"
        : "Waiting for the first figures …";
    return <Waiting words={words} />;
  }
  const page: PageState = {
    ...{
      report,
      history,
      alerts,
      resources,
      resourcesError,
      session,
      api,
      live,
      taps,
      route,
      isDark,
    },
    ...{ reloadResources, announce, revision: revision ?? report.revision },
  };
  const logout = async () => {
    await api.logout();
    await onSession();
  };
  return (
    <PageContext.Provider value={page}>
      <Shell
        state={state}
        reportAtMs={reportAtMs}
        theme={theme}
        onTheme={chooseTheme}
        onLogout={logout}
      />
      <div class="unseen" role="status" aria-live="polite" data-said>
        {said}
      </div>
    </PageContext.Provider>
  );
}

/** The socket, and what has come of it. */
function useLive(onSession: () => Promise<void>) {
  const [report, setReport] = useState<PageReport | null>(null);
  const [state, setState] = useState<LiveState>({ is: "connecting" });
  const reportAtMs = useRef(0);
  const { live, taps, history } = useMemo(() => {
    const feed = new TapFeed();
    const kept = new History();
    const url = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/api/live`;
    const socket = new Live(url, {
      onState(next) {
        setState(next);
        // A socket says nothing of why it was refused: the session may have ended.
        if (next.is === "broken") void checkSession(onSession);
      },
      onReport(next) {
        kept.add(next);
        reportAtMs.current = performance.now();
        setReport(next);
      },
      onTap: (item) => feed.onItem?.(item),
      onTapEnd: (reason) => feed.onError?.(`The tap has ended: ${reason ?? "its time is over"}.`),
      onError: (message) => feed.onError?.(message),
    });
    return { live: socket, taps: feed, history: kept };
  }, [onSession]);
  useEffect(() => {
    let timer = 0;
    const onVisibility = () => {
      clearTimeout(timer);
      if (document.hidden) timer = window.setTimeout(() => live.sleep(), SLEEP_AFTER_MS);
      else live.start();
    };
    live.start();
    document.addEventListener("visibilitychange", onVisibility);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisibility);
      live.sleep();
    };
  }, [live]);
  return { live, taps, report, history, state, reportAtMs };
}

/** Only where the server answers that nobody is logged in the page is left; where it is silent, what is shown stays. */
async function checkSession(onSession: () => Promise<void>): Promise<void> {
  const answer = await fetch("/api/session", { signal: AbortSignal.timeout(5_000) }).catch(
    () => null,
  );
  if (!answer?.ok) return;
  const session = (await answer.json()) as Session;
  if (session.role === null) await onSession();
}

function useResources(api: Api, revision: number | undefined) {
  const [resources, setResources] = useState<readonly ConfigResource[] | null>(null);
  const [trouble, setTrouble] = useState("");
  const load = useCallback(() => {
    api.config().then(
      (loaded) => {
        setResources(loaded);
        setTrouble("");
      },
      (error: unknown) => setTrouble(reasonOf(error)),
    );
  }, [api]);
  // They can only change with the revision.
  useEffect(() => {
    if (revision !== undefined) load();
  }, [load, revision]);
  return [resources, trouble, load] as const;
}

function useTheme(): readonly [Theme, boolean, (theme: Theme) => void] {
  const [theme, setChosen] = useState<Theme>(readTheme);
  const query = useMemo(() => matchMedia("(prefers-color-scheme: dark)"), []);
  const [isSystemDark, setSystemDark] = useState(query.matches);
  useEffect(() => {
    const onChange = () => setSystemDark(query.matches);
    query.addEventListener("change", onChange);
    return () => query.removeEventListener("change", onChange);
  }, [query]);
  const choose = (next: Theme) => {
    setTheme(next);
    setChosen(next);
  };
  return [theme, theme === "system" ? isSystemDark : theme === "dark", choose];
}
