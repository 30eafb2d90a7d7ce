// Sets of message numbers as ascending, disjoint, non-adjacent closed intervals.
// They say which part of a room's history the copy holds, also where messages are damaged.

export type Range = readonly [from: number, to: number];

/** The set with `from..=to` added; an empty interval adds nothing. */
export function addRange(ranges: readonly Range[], from: number, to: number): Range[] {
  if (from > to) return [...ranges];
  const apart = ranges.filter(([a, b]) => b < from - 1 || a > to + 1);
  const touching = ranges.filter(([a, b]) => b >= from - 1 && a <= to + 1);
  const low = Math.min(from, ...touching.map(([a]) => a));
  const high = Math.max(to, ...touching.map(([, b]) => b));
  return [...apart, [low, high] as const].sort((x, y) => x[0] - y[0]);
}

/** The set without everything below `from`. */
export function keepFrom(ranges: readonly Range[], from: number): Range[] {
  return ranges.filter(([, b]) => b >= from).map(([a, b]) => [Math.max(a, from), b] as const);
}

/** The interval that holds `value`, or null. */
export function rangeAt(ranges: readonly Range[], value: number): Range | null {
  return ranges.find(([a, b]) => a <= value && value <= b) ?? null;
}
