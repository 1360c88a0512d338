// Numbers with units, times, and the service's codes in plain words. No DOM.

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const BLANK = "–";
const NBSP = "\u00a0"; // between a number and its unit, which stay on one line
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const DAY_MS = 86_400_000;

/** 1234.5 is "1,235", 12.34 is "12.3", 0.1234 is "0.12". */
export function number(value) {
  if (!known(value)) return BLANK;
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return whole.format(value);
  return value.toFixed(size >= 10 ? 1 : 2);
}

/** Large numbers in few letters, for charts: 12,300 is "12.3 k". */
export function short(value) {
  if (!known(value)) return BLANK;
  const size = Math.abs(value);
  if (size >= 1e9) return `${number(value / 1e9)}${NBSP}G`;
  if (size >= 1e6) return `${number(value / 1e6)}${NBSP}M`;
  if (size >= 1e4) return `${number(value / 1e3)}${NBSP}k`;
  return number(value);
}

export function percent(value, digits = 1) {
  return known(value) ? `${(100 * value).toFixed(digits)}${NBSP}%` : BLANK;
}

/**
 * Parts of a whole as percentages without decimals that add up to 100: those with the largest remainders are rounded up.
 * A part that rounds to nothing is "< 1 %".
 */
export function portions(parts) {
  const whole = parts.reduce((sum, part) => sum + part, 0) || 1;
  const exact = parts.map((part) => (100 * part) / whole);
  const rounded = exact.map(Math.floor);
  const left = Math.round(exact.reduce((sum, each) => sum + each, 0)) - rounded.reduce((sum, each) => sum + each, 0);
  exact
    .map((each, i) => [each - rounded[i], i])
    .sort((a, b) => b[0] - a[0])
    .slice(0, left)
    .forEach(([, i]) => (rounded[i] += 1));
  return rounded.map((each, i) => (each === 0 && parts[i] > 0 ? `<${NBSP}1${NBSP}%` : `${each}${NBSP}%`));
}

/** Values with their sign and two decimals that add up to the total as shown: those with the largest remainders are rounded up. */
export function addends(values, total = values.reduce((sum, value) => sum + value, 0)) {
  const exact = values.map((value) => 100 * value);
  const rounded = exact.map(Math.floor);
  const left = Math.round(100 * total) - rounded.reduce((sum, each) => sum + each, 0);
  exact
    .map((each, i) => [each - rounded[i], i])
    .sort((a, b) => b[0] - a[0])
    .slice(0, Math.max(0, left))
    .forEach(([, i]) => (rounded[i] += 1));
  return rounded.map((each) => `${each < 0 ? "−" : "+"}${(Math.abs(each) / 100).toFixed(2)}`);
}

export function bytes(value) {
  if (!known(value)) return BLANK;
  for (const [unit, size] of [
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ]) {
    if (value >= size) return `${number(value / size)}${NBSP}${unit}`;
  }
  return `${number(value)}${NBSP}bytes`;
}

export function millis(value) {
  if (!known(value)) return BLANK;
  if (value >= 10_000) return duration(value);
  if (value >= 1000) return `${(value / 1000).toFixed(2)}${NBSP}s`;
  if (value < 0.1 && value > 0) return `${number(value * 1000)}${NBSP}µs`;
  return `${number(value)}${NBSP}ms`;
}

/** 93,784,000 is "1 day 2 h": the two largest units. */
export function duration(ms) {
  if (!known(ms)) return BLANK;
  const seconds = Math.max(0, Math.round(ms / 1000));
  const parts = [
    [Math.floor(seconds / 86400), "day"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return `0${NBSP}s`;
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${NBSP}${unit === "day" && count !== 1 ? "days" : unit}`)
    .join(" ");
}

/** The next longer round time, for a scale that shows "60 days" and not "57 days 20 h". */
export function roundDuration(ms) {
  const unit = [DAY_MS, 3_600_000, 60_000, 1000].find((size) => ms >= size) ?? 1000;
  const steps = { [DAY_MS]: [1, 2, 5, 10, 20, 30, 60, 90, 180, 365, 730, 1825, 3650], 3_600_000: [1, 2, 3, 6, 12, 24] }[
    unit
  ] ?? [1, 2, 5, 10, 20, 30, 60];
  return unit * (steps.find((step) => step * unit >= ms) ?? Math.ceil(ms / unit));
}

/** A length of time from a setting: 300 is "5 minutes". */
export function stretch(seconds) {
  for (const [unit, size] of [
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
  ]) {
    if (seconds % size === 0) return count(seconds / size, unit);
  }
  return count(seconds, "second");
}

/** The same after "the last": 300 is "5 minutes", 3600 is "hour". */
export const lastStretch = (seconds) => stretch(seconds).replace(/^1 /, "");

export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

const dayAndTime = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZone: "UTC",
});
const timeOnly = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" }); // in local time

export const moment = (ms) => (known(ms) ? `${dayAndTime.format(ms)} UTC` : BLANK);
export const clock = (ms) => (known(ms) ? timeOnly.format(ms) : BLANK);

/** How long before the newest event something was. */
export function ago(ms, newest) {
  if (!known(ms) || !known(newest)) return "";
  return newest - ms < 1000 ? "just now" : `${duration(newest - ms)} ago`;
}

// -------------------------------------------------------------------------------------------------- words

export const REASONS = {
  not_utf8: "not readable as text (UTF-8)",
  not_json: "not JSON",
  not_a_row: "a broken table row",
  not_an_event: "not an event",
  needs_registry: "needs a schema registry",
  unknown_schema: "written with a schema that the registry does not know",
  not_of_schema: "does not fit its schema",
  missing_field: "a field is missing",
  unknown_field: "a request with an unknown field",
  wrong_type: "a field of the wrong kind",
  empty_id: "an empty id",
  unknown_type: "an event type that is not accepted",
  bad_time: "a time that cannot be read",
  negative_time: "a time before 1970",
  future: "dated in the future",
  late: "came too late",
  duplicate: "came twice",
  too_large: "too large",
};

export const STATES = {
  ready: "Ready: it answers",
  recovering: "Catching up: it reads the log and does not answer yet",
  "waiting for the broker": "Waiting for the broker",
  warming_up: "Warming up",
  stopping: "Stopping",
};

export const STAGES = {
  mailbox: ["Mailbox", "a batch of events waiting for the engine"],
  apply: ["Apply", "applying one batch of events to the index"],
  answer: ["Answer", "computing recommendations, without the network"],
  commit: ["Commit", "sending answers to the broker until it has committed them"],
  http: ["HTTP", "a request over HTTP, from its arrival to its answer"],
  end_to_end: ["End to end", "from an event's arrival in the topic to its published answer"],
};

export const SOURCES = {
  neighbours: "from similar visits",
  followed: "often comes next",
  popular: "popular now",
  session: "this visit had it before",
  newest: "new in the catalogue",
};

export const TYPES = { view: "viewed", click: "clicked", cart: "put in the basket", purchase: "bought" };
