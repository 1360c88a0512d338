// Small charts: a line over the last minutes or the last hour, and bars. Knows numbers and labels, and nothing of what
// they mean.

import { h, s, setChildren, setText } from "./dom.js";
import { clock, duration, short } from "./format.js";

const WIDTH = 300;
const HEIGHT = 72;
const GAP_MS = 16_000; // the line is broken where there were no points, which are 5 seconds apart, for longer
const SHORTEST_MS = 60_000;

/** The smallest of 1, 2, 5 x 10^n that is at least the value: a scale that does not change all the time. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * 0.999999);
}

function path(points, top, newest, span, isArea) {
  let d = "";
  let last = null;
  const place = (point) =>
    `${(WIDTH * (1 - (newest - point.at) / span)).toFixed(1)} ${(HEIGHT - 1 - (HEIGHT - 4) * (point.value / top)).toFixed(1)}`;
  const close = () => (isArea && last ? `L${place({ ...last, value: 0 })}Z` : "");
  for (const point of points) {
    if (point.value === null || point.value === undefined) continue;
    const isNew = !last || point.at - last.at > GAP_MS;
    if (isNew) d += close() + (isArea ? `M${place({ ...point, value: 0 })}L` : "M");
    else d += "L";
    d += place(point);
    last = point;
  }
  return d + close();
}

/**
 * A line chart over time. `series` are names; `show` writes a value with its unit; `ceil` returns the top of the scale
 * for the largest value.
 * `update(samples, longest)` takes `[{at, values: [..]}]`, oldest first, one value for each series. It draws the last
 * minute at first, and more as there are samples for it, up to the last `longest` milliseconds.
 */
export function lineChart({ label, series = [""], show = short, ceil = roundUp }) {
  const lines = series.map((_, i) => s("path", { class: `line line-${i}`, "vector-effect": "non-scaling-stroke" }));
  const area = s("path", { class: "area" });
  const cross = s("line", {
    class: "cross",
    y1: 0,
    y2: HEIGHT,
    "vector-effect": "non-scaling-stroke",
    visibility: "hidden",
  });
  const drawing = s(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    s("line", {
      class: "grid",
      x1: 0,
      x2: WIDTH,
      y1: HEIGHT - 1,
      y2: HEIGHT - 1,
      "vector-effect": "non-scaling-stroke",
    }),
    s("line", { class: "grid", x1: 0, x2: WIDTH, y1: 3, y2: 3, "vector-effect": "non-scaling-stroke" }),
    series.length === 1 ? area : null,
    ...lines,
    cross,
  );
  const scale = h("span", { class: "chart-top", "aria-hidden": "true" });
  const left = h("span");
  const legend = h(
    "span",
    { class: "legend" },
    series.length > 1 ? series.map((name, i) => h("span", { class: `key key-${i}` }, name)) : [],
  );
  const node = h("figure", { class: "chart" }, scale, drawing, h("figcaption", {}, left, legend, h("span", {}, "now")));
  let samples = [];
  let longest = SHORTEST_MS;
  let span = SHORTEST_MS;
  let isPointed = false;
  const sayLeft = () => {
    if (!isPointed) setText(left, `${duration(span)} ago`);
  };

  const shown = () => samples.filter((sample) => samples.at(-1).at - sample.at <= longest);

  function draw() {
    const newest = samples.at(-1)?.at ?? 0;
    const drawn = shown();
    const most = Math.max(0, ...drawn.flatMap((sample) => sample.values.filter(Number.isFinite)));
    const ceiling = ceil(most);
    span = Math.min(longest, Math.ceil(Math.max(newest - (drawn[0]?.at ?? newest), 1) / SHORTEST_MS) * SHORTEST_MS);
    sayLeft();
    setText(scale, show(ceiling));
    series.forEach((_, i) => {
      const points = drawn.map((sample) => ({ at: sample.at, value: sample.values[i] }));
      lines[i].setAttribute("d", path(points, ceiling, newest, span, false));
      if (series.length === 1) area.setAttribute("d", path(points, ceiling, newest, span, true));
    });
    const last = drawn.at(-1);
    if (last) {
      const values = series.map((name, i) => `${name} ${show(last.values[i])}`.trim()).join(", ");
      drawing.setAttribute(
        "aria-label",
        `${label}: now ${values}; scale to ${show(ceiling)}; the last ${duration(span)}`,
      );
    }
  }

  function point(event) {
    const box = drawing.getBoundingClientRect();
    const newest = samples.at(-1)?.at;
    if (!newest) return;
    const pointed = newest - span * (1 - (event.clientX - box.left) / box.width);
    const near = shown().reduce((a, b) => (Math.abs(b.at - pointed) < Math.abs(a.at - pointed) ? b : a));
    const x = WIDTH * (1 - (newest - near.at) / span);
    isPointed = true;
    cross.setAttribute("x1", x);
    cross.setAttribute("x2", x);
    cross.setAttribute("visibility", "visible");
    setText(left, `${clock(near.at)}: ${near.values.map((value) => show(value)).join(" · ")}`);
    node.classList.add("pointed");
  }

  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerleave", () => {
    cross.setAttribute("visibility", "hidden");
    isPointed = false;
    sayLeft();
    node.classList.remove("pointed");
  });
  return {
    node,
    update(all, most) {
      samples = all;
      longest = most;
      draw();
    },
  };
}

/**
 * A bar for a share of a whole, with a whisker for an interval, if there is one. Hidden from screen readers: its value
 * stands beside it as text.
 */
export function bar(share, { low, high, tone = "" } = {}) {
  const clip = (value) => Math.max(0, Math.min(1, value || 0)) * 100;
  const whisker =
    low === undefined || high === undefined || low === null || high === null
      ? []
      : [
          s("line", {
            class: "whisker",
            x1: clip(low),
            x2: clip(high),
            y1: 5,
            y2: 5,
            "vector-effect": "non-scaling-stroke",
          }),
          ...[low, high].map((end) =>
            s("line", {
              class: "whisker",
              x1: clip(end),
              x2: clip(end),
              y1: 2,
              y2: 8,
              "vector-effect": "non-scaling-stroke",
            }),
          ),
        ];
  return s(
    "svg",
    { class: `bar ${tone}`, viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "bar-back", x: 0, y: 0, width: 100, height: 10 }),
    s("rect", { class: "bar-front", x: 0, y: 0, width: clip(share), height: 10 }),
    whisker,
  );
}

/** Rows of a name, a bar and a value. `rows`: `{name, share, value, title?, low?, high?, tone?}`; name a text or a node. */
export function bars(rows, label) {
  const list = h("ul", { class: "bars", "aria-label": label });
  setChildren(
    list,
    rows.map((row) =>
      h(
        "li",
        {},
        h("span", { class: "bars-name", title: row.title }, row.name),
        bar(row.share, row),
        h("span", { class: "bars-value" }, row.value),
      ),
    ),
  );
  return list;
}
