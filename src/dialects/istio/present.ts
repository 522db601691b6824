type Optional<T> = { [K in keyof T]: undefined extends T[K] ? K : never }[keyof T];

/** A record in which a field that may be undefined may be absent instead. */
export type Present<T> = { [K in Exclude<keyof T, Optional<T>>]: T[K] } & {
  [K in Optional<T>]?: Exclude<T[K], undefined>;
};

/** Without the fields that are undefined: the store and its comparison know no undefined. */
export function present<T extends object>(record: T): Present<T> {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Present<T>;
}
