import type { ComponentChildren } from "preact";

/** One term and what is to be said of it; within {@link Facts}. */
export function Fact({
  term,
  value,
}: {
  readonly term: string;
  readonly value: ComponentChildren;
}) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** A list of terms. */
export function Facts({
  rows,
}: {
  readonly rows: readonly (readonly [term: string, value: ComponentChildren])[];
}) {
  return (
    <dl class="facts">
      {rows.map(([term, value]) => (
        <Fact key={term} term={term} value={value} />
      ))}
    </dl>
  );
}
