interface Props {
  readonly values: readonly (number | null)[];
  readonly label: string;
}

const WIDTH = 88;
const HEIGHT = 20;
/** Points that a line of this width can show. */
const POINTS = 60;

/** A line without scale: how something went lately. It starts at zero, so that noise does not look like a change. */
export function Spark({ values, label }: Props) {
  const last = values.slice(-POINTS);
  const known = last.flatMap((value) => value ?? []);
  const top = Math.max(...known, 0);
  if (known.length < 2 || top === 0) return <span class="spark" />;
  const step = WIDTH / (POINTS - 1);
  const start = WIDTH - (last.length - 1) * step;
  let path = "";
  let isPen = false;
  for (const [at, value] of last.entries()) {
    if (value === null) {
      isPen = false;
      continue;
    }
    const y = HEIGHT - 1 - (value / top) * (HEIGHT - 3);
    path += `${isPen ? "L" : "M"}${(start + at * step).toFixed(1)} ${y.toFixed(1)}`;
    isPen = true;
  }
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
      <path d={path} />
    </svg>
  );
}
