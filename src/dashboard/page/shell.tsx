import { useEffect, useRef, useState } from "preact/hooks";
import { hrefOf, VIEWS, type View } from "./model/route.ts";
import type { LiveState } from "./net/live.ts";
import { Icon } from "./parts/icons.tsx";
import { usePage } from "./parts/state.ts";
import type { Theme } from "./parts/theme.ts";
import { Config } from "./views/config.tsx";
import { Graph } from "./views/graph.tsx";
import { Host } from "./views/host.tsx";
import { Hosts, Services } from "./views/lists.tsx";
import { Overview } from "./views/overview.tsx";
import { Service } from "./views/service.tsx";
import { Tap } from "./views/tap.tsx";

const TITLES: Readonly<Record<View, string>> = {
  overview: "Overview",
  graph: "Graph",
  services: "Services",
  hosts: "Hosts",
  config: "Configuration",
  tap: "Tap",
};

interface Props {
  readonly state: LiveState;
  /** When the newest report came, of performance.now(). */
  readonly reportAtMs: { readonly current: number };
  readonly theme: Theme;
  readonly onTheme: (theme: Theme) => void;
  readonly onLogout: () => Promise<void>;
}

/** What is around every view. */
export function Shell(props: Props) {
  const { route } = usePage();
  const content = useRef<HTMLElement>(null);
  const place = `${route.view}/${route.name}`;
  const last = useRef(place);
  useEffect(() => {
    document.title = `${route.name || TITLES[route.view]} · hostmesh`;
    if (last.current === place) return;
    last.current = place;
    // As after a load of a page: from the top, and readers of the screen are told where they are.
    window.scrollTo(0, 0);
    content.current?.focus({ preventScroll: true });
  }, [place, route]);
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => content.current?.focus()}>
        Skip to the content
      </button>
      <Header {...props} />
      <Staleness state={props.state} reportAtMs={props.reportAtMs} />
      <main id="content" ref={content} tabIndex={-1}>
        <CurrentView />
      </main>
    </div>
  );
}

function CurrentView() {
  const { view, name } = usePage().route;
  if (view === "graph") return <Graph />;
  if (view === "services") return name === "" ? <Services /> : <Service key={name} name={name} />;
  if (view === "hosts") return name === "" ? <Hosts /> : <Host key={name} name={name} />;
  if (view === "config") return <Config name={name} />;
  if (view === "tap") return <Tap key={location.hash} />;
  return <Overview />;
}

function Header({ state, theme, onTheme, onLogout }: Props) {
  const { route, session, alerts, isDark } = usePage();
  const [isOpen, setOpen] = useState(false);
  return (
    <header class="top">
      <a href={hrefOf("overview")} class="brand">
        hostmesh
      </a>
      <button
        type="button"
        class="menu"
        aria-expanded={isOpen}
        aria-controls="views"
        onClick={() => setOpen(!isOpen)}
      >
        <Icon name="menu" /> {TITLES[route.view]}
      </button>
      <nav id="views" aria-label="Views" class={isOpen ? "is-open" : ""}>
        <ul>
          {VIEWS.map((view) => (
            <li key={view}>
              <a
                href={hrefOf(view)}
                aria-current={view === route.view ? "page" : undefined}
                onClick={() => setOpen(false)}
              >
                {TITLES[view]}
                {view === "overview" && alerts.length > 0 && (
                  <span class="count">
                    {alerts.length}
                    <span class="unseen"> to look at</span>
                  </span>
                )}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <div class="who">
        <span class={`live live-${state.is}`}>{LIVE_WORDS[state.is]}</span>
        <button
          type="button"
          class="plain-button"
          aria-label={isDark ? "Use light colours" : "Use dark colours"}
          title={theme === "system" ? "As the system says" : `Always ${theme}`}
          onClick={() => onTheme(isDark ? "light" : "dark")}
        >
          <Icon name={isDark ? "sun" : "moon"} />
        </button>
        {session.user !== null && session.user !== "" && (
          <button type="button" onClick={() => void onLogout()}>
            Log out {session.user}
          </button>
        )}
      </div>
    </header>
  );
}

const LIVE_WORDS: Readonly<Record<LiveState["is"], string>> = {
  live: "Live",
  connecting: "Connecting",
  broken: "Stale",
  asleep: "Paused",
};

/** Old figures must not look like new ones. */
function Staleness({ state, reportAtMs }: Pick<Props, "state" | "reportAtMs">) {
  const [, tick] = useState(0);
  const isOld = state.is !== "live";
  useEffect(() => {
    if (!isOld) return;
    const timer = setInterval(() => tick((count) => count + 1), 1_000);
    return () => clearInterval(timer);
  }, [isOld]);
  if (!isOld) return null;
  const now = performance.now();
  const age = Math.round((now - reportAtMs.current) / 1000);
  const retry = state.is === "broken" ? Math.max(0, Math.ceil((state.retryAtMs - now) / 1000)) : 0;
  return (
    <p class="banner banner-stale" data-stale>
      Stale: these figures are {age} s old.{" "}
      {state.is === "broken"
        ? `The connection is lost; next attempt in ${retry} s.`
        : "Connecting …"}
    </p>
  );
}
