// The points of the last hour, as the service keeps them: `{at, of}`, where `of` has a value by name, or null.

export const HOUR_MS = 3_600_000;

/**
 * The points with those of `history` added. What the service sends again replaces what was known of that time; what only
 * this page knows, because the service has started again since, stays until it is an hour old.
 */
export function withNew(points, history) {
  const { at_ms: times, series } = history;
  if (!times.length) return points;
  const names = Object.keys(series);
  const added = times.map((at, i) => ({ at, of: Object.fromEntries(names.map((name) => [name, series[name][i]])) }));
  return [...points.filter((point) => point.at < times[0]), ...added].filter(
    (point) => times.at(-1) - point.at <= HOUR_MS,
  );
}

/** What a chart draws of these points: one value for each name. */
export const valuesOf = (points, names) =>
  points.map(({ at, of }) => ({ at, values: names.map((name) => of[name] ?? null) }));
