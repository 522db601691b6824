import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import type { TapEvent, TapFilter, TapItem } from "../../../sight/tap-event.ts";
import { formatBytes, formatMs, formatRate, formatTime, plural } from "../model/format.ts";
import { SECURITY_WORDS } from "../model/health.ts";
import { NameLink, Panel } from "../parts/common.tsx";
import { Fact } from "../parts/facts.tsx";
import { Choice, Filter } from "../parts/filter.tsx";
import { HealthMark, Lock } from "../parts/icons.tsx";
import { usePage } from "../parts/state.ts";

/** What is kept to be looked at: older ones go. */
const MOST_EVENTS = 200;
/** Events are shown so often, however fast they come. */
const SHOW_EVERY_MS = 250;
/** Over which the rate is taken. */
const RATE_MS = 5_000;

interface Shown {
  readonly key: number;
  readonly event: TapEvent;
}

/** Takes events as they come and shows them a few times a second. */
class TapLog {
  events: readonly Shown[] = [];
  skipped = 0;
  seen = 0;
  #waiting: Shown[] = [];
  #times: number[] = [];

  add(item: TapItem): void {
    if (item.type === "skipped") {
      this.skipped += item.events;
      return;
    }
    this.seen += 1;
    this.#times.push(performance.now());
    this.#waiting.push({ key: this.seen, event: item.event });
    // While it is paused, or the tab in the background, this must not grow.
    if (this.#waiting.length > MOST_EVENTS) this.#waiting.shift();
  }

  /** Shows what has come; false where nothing has. */
  flush(): boolean {
    const since = performance.now() - RATE_MS;
    this.#times = this.#times.filter((at) => at >= since);
    if (this.#waiting.length === 0) return false;
    this.events = [...this.#waiting.reverse(), ...this.events].slice(0, MOST_EVENTS);
    this.#waiting = [];
    return true;
  }

  get rps(): number {
    return this.#times.length / (RATE_MS / 1000);
  }
}

/** Live requests: those that match, as they end. */
export function Tap() {
  const { session, route } = usePage();
  const mayTap = session.mayTap ?? session.role === "editor";
  const { query } = route;
  const [fields, setFields] = useState<Record<string, string>>({ ...query });
  const [filter, setFilter] = useState<TapFilter | null>(null);
  if (!mayTap) {
    return (
      <>
        <h1>Tap</h1>
        <p class="empty">Live requests show the traffic of others: your role may not see them.</p>
      </>
    );
  }
  return (
    <>
      <h1>Tap</h1>
      <form
        class="toolbar"
        onSubmit={(event) => {
          event.preventDefault();
          setFilter(filterOf(fields));
        }}
      >
        <TapFields
          fields={fields}
          onChange={(name, value) => setFields({ ...fields, [name]: value })}
        />
        <div class="actions">
          <button type="submit" class="primary">
            {filter === null ? "Start" : "Use this filter"}
          </button>
          {filter !== null && (
            <button type="button" onClick={() => setFilter(null)}>
              End
            </button>
          )}
        </div>
      </form>
      <p class="note tap-note">
        Headers that may hold secrets are shown as [redacted]. Of many requests a second hosts send
        some only; how many they leave out is counted.
      </p>
      {filter !== null && <TapView filter={filter} />}
    </>
  );
}

function TapFields(props: {
  readonly fields: Readonly<Record<string, string>>;
  readonly onChange: (name: string, value: string) => void;
}) {
  const { fields, onChange } = props;
  const field = (name: string, label: string, placeholder: string) => (
    <Filter
      label={label}
      placeholder={placeholder}
      value={fields[name] ?? ""}
      onInput={(value) => onChange(name, value)}
    />
  );
  const choice = (name: string, label: string, options: readonly (readonly [string, string])[]) => (
    <Choice
      label={label}
      value={fields[name] ?? ""}
      options={options}
      onChoose={(value) => onChange(name, value)}
    />
  );
  return (
    <>
      {field("source", "From", "namespace/name")}
      {field("destination", "To", "namespace/name")}
      {field("method", "Method", "GET")}
      {field("pathPrefix", "Path begins with", "/api")}
      {field("status", "Status", "5xx")}
      {choice("failed", "Outcome", [
        ["", "all"],
        ["yes", "only failed"],
      ])}
      {choice("headers", "Headers", [
        ["", "not shown"],
        ["yes", "shown"],
      ])}
    </>
  );
}

function filterOf(fields: Readonly<Record<string, string>>): TapFilter {
  const text = (name: string) => {
    const value = (fields[name] ?? "").trim();
    return value === "" ? {} : { [name]: value };
  };
  const method = (fields["method"] ?? "").trim().toUpperCase();
  return {
    ...text("source"),
    ...text("destination"),
    ...(method === "" ? {} : { method }),
    ...text("pathPrefix"),
    ...text("status"),
    ...(fields["failed"] === "yes" ? { failed: true } : {}),
    ...(fields["headers"] === "yes" ? { headers: true } : {}),
  };
}

function TapView({ filter }: { readonly filter: TapFilter }) {
  const { live, taps } = usePage();
  const log = useRef(new TapLog());
  const isPaused = useRef(false);
  const [trouble, setTrouble] = useState("");
  const [, show] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(() => {
    log.current = new TapLog();
    setTrouble("");
    taps.onItem = (item) => log.current.add(item);
    taps.onError = setTrouble;
    live.tap(filter);
    const timer = setInterval(() => {
      if (!isPaused.current) {
        log.current.flush();
        show();
      }
    }, SHOW_EVERY_MS);
    return () => {
      clearInterval(timer);
      live.endTap();
      taps.onItem = null;
      taps.onError = null;
    };
  }, [filter, live, taps]);
  const { events, seen, skipped, rps } = log.current;
  return (
    <Panel
      title="Requests"
      aside={
        <button
          type="button"
          aria-pressed={isPaused.current}
          onClick={() => {
            isPaused.current = !isPaused.current;
            show();
          }}
        >
          {isPaused.current ? "Go on" : "Pause"}
        </button>
      }
    >
      <p class="note tap-rate">
        {formatRate(rps)} a second, {plural(seen, "request")} seen
        {skipped > 0 ? `, ${skipped} left out` : ""}
        {isPaused.current ? ", paused" : ""}
      </p>
      {trouble !== "" && (
        <p class="banner banner-bad" role="alert">
          {trouble}
        </p>
      )}
      {events.length === 0 && <p class="empty">Waiting for a request that matches …</p>}
      <ol class="tap" aria-label="Requests, the newest first">
        {events.map(({ key, event }) => (
          <TapRow key={key} event={event} />
        ))}
      </ol>
    </Panel>
  );
}

/** A tunnel has no status. */
function resultOf({ grpcStatus, status, protocol }: TapEvent): string {
  if (grpcStatus !== null) return `grpc ${grpcStatus}`;
  return status === 0 ? protocol : String(status);
}

function TapRow({ event }: { readonly event: TapEvent }) {
  const isFailed = event.error !== null || event.status >= 500;
  const result = event.error ?? resultOf(event);
  return (
    <li>
      <div class="tap-line">
        <span class="quiet">{formatTime(event.atMs)}</span>
        <HealthMark
          health={isFailed ? "bad" : event.status >= 400 ? "warn" : "good"}
          word={result}
        />
        <code class="tap-request">
          {event.method} {event.authority}
          {event.path}
        </code>
        <span class="tap-duration">{formatMs(event.durationMs)}</span>
      </div>
      <details>
        <summary>
          {event.source} → {event.destination ?? event.authority}
        </summary>
        <dl class="facts">
          <Fact term="From" value={<NameLink name={event.source} />} />
          <Fact
            term="To"
            value={
              event.destination === null ? event.authority : <NameLink name={event.destination} />
            }
          />
          <Fact term="Endpoint" value={`${event.endpoint ?? "–"} ${event.endpointAddress ?? ""}`} />
          <Fact term="Route" value={event.route} />
          <Fact term="Host" value={event.host} />
          <Fact
            term="Secured"
            value={
              <Lock
                secured={event.security === "mutual_tls" || event.security === "same_host"}
                why={
                  SECURITY_WORDS[event.security as keyof typeof SECURITY_WORDS] ?? event.security
                }
              />
            }
          />
          <Fact term="Attempts" value={String(event.attempts)} />
          <Fact
            term="Bytes"
            value={`${formatBytes(event.requestBytes)} up, ${formatBytes(event.responseBytes)} down`}
          />
          <Fact term="Trace" value={event.traceId || "–"} />
        </dl>
        {event.requestHeaders !== undefined && (
          <Headers title="Request headers" headers={event.requestHeaders} />
        )}
        {event.responseHeaders !== undefined && (
          <Headers title="Response headers" headers={event.responseHeaders} />
        )}
      </details>
    </li>
  );
}

function Headers(props: {
  readonly title: string;
  readonly headers: readonly (readonly [string, string])[];
}) {
  return (
    <>
      <h3>{props.title}</h3>
      <pre class="code">{props.headers.map(([name, value]) => `${name}: ${value}`).join("\n")}</pre>
    </>
  );
}
