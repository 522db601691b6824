import type { Health } from "../model/health.ts";

/** Paths of signs in a box of 16 x 16; decoration only: what they mean stands beside them or in their title. */
const PATHS = {
  good: "M3 8.5l3.2 3.2L13 5",
  warn: "M8 2.5l6 11H2zM8 6.5v3.2M8 11.6v.4",
  bad: "M4 4l8 8M12 4l-8 8",
  none: "M4 8h8",
  closedLock: "M3.5 7.5h9v6h-9zM5.5 7.5V5a2.5 2.5 0 015 0v2.5",
  openLock: "M3.5 7.5h9v6h-9zM5.5 7.5V4.5a2.5 2.5 0 014.9-.7",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  sun: "M8 5a3 3 0 100 6 3 3 0 000-6M8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  moon: "M13 9.5A5.5 5.5 0 016.5 3a5.5 5.5 0 106.5 6.5z",
} as const;

export function Icon({ name }: { readonly name: keyof typeof PATHS }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** A health with its sign, colour and word. */
export function HealthMark({ health, word }: { readonly health: Health; readonly word: string }) {
  return (
    <span class={`mark mark-${health}`}>
      <Icon name={health} />
      <span>{word}</span>
    </span>
  );
}

/** A lock with why it is open, or what closed it. */
export function Lock({ secured, why }: { readonly secured: boolean; readonly why: string }) {
  return (
    <span class={`mark ${secured ? "mark-good" : "mark-warn"}`}>
      <Icon name={secured ? "closedLock" : "openLock"} />
      <span class="lock-words">
        {secured ? "" : "not secured: "}
        {why}
      </span>
    </span>
  );
}
