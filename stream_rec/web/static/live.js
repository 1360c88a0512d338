// The view of what the service is doing: a tile for each figure, drawn over the last hour or the last five minutes.

import { h, setChildren, setText, syncRows } from "./dom.js";
import { bars, lineChart, roundUp } from "./chart.js";
import {
  bytes,
  count,
  duration,
  millis,
  moment,
  number,
  percent,
  REASONS,
  roundDuration,
  short,
  STAGES,
  STATES,
} from "./format.js";
import { HOUR_MS, valuesOf } from "./history.js";
import { headline } from "./quality.js";

const SPANS = [
  [300_000, "5 minutes"],
  [HOUR_MS, "hour"],
];

const node = () => document.getElementById("live");
const sum = (numbers) => Object.values(numbers ?? {}).reduce((all, each) => all + each, 0);

/** A tile: heading, help, a large figure with its unit, and `inside` below. */
function tile(title, help, inside = [], wide = "") {
  const figure = h("span", { class: "figure" });
  const beside = h("span", { class: "beside" });
  const box = h(
    "article",
    { class: `tile ${wide}` },
    h("h2", {}, title),
    h("p", { class: "help" }, help),
    h("p", { class: "figures" }, figure, " ", beside),
    inside,
  );
  return {
    box,
    show(text, more = "") {
      setText(figure, text);
      setText(beside, more);
    },
  };
}

/** A tile with a chart of the figures with these `names`. */
function drawn(title, help, { series, show, names, ceil, more = [] }) {
  const chart = lineChart({ label: title, series, show, ceil });
  return { ...tile(title, help, [chart.node, more]), chart, names };
}

export function liveView() {
  const quality = headline();

  const events = drawn("Events", "Views, clicks and purchases that were read, per second.", {
    names: ["rates.events_per_s"],
  });
  const answers = drawn("Answers", "Lists of recommendations, and HTTP requests of any kind, per second.", {
    series: ["answers", "HTTP"],
    names: ["rates.answers_per_s", "rates.http_per_s"],
  });

  const partitions = h("div");
  const lag = drawn("Lag", "Records in the topic that are not read yet. Near 0 is up to date.", {
    names: ["lag"],
    more: partitions,
  });

  let budget = null;
  const memory = drawn("Memory", "What the retained visits take, and the limit you set.", {
    show: bytes,
    names: ["retained.bytes"],
    ceil: (most) => (budget ? Math.max(budget, most) : roundUp(most)),
  });

  const held = h("dl", { class: "pairs" });
  const kept = tile("Retained", "The visits that recommendations are made from. The oldest are evicted first.", held);

  const horizon = drawn("Horizon", "How far back the index sees: the age of the oldest retained visit.", {
    show: duration,
    ceil: roundDuration,
    names: ["retained.horizon_ms"],
  });

  const aside = h("div");
  const dead = tile(
    "Dead letters",
    "Records that were rejected, by reason. Nothing is dropped without being counted here.",
    aside,
  );

  const snapshot = tile("Snapshot", "A copy on disk, so that a restart need not read the whole log again.");
  const catalogue = tile(
    "Catalogue",
    "Items with title, price and availability. Unavailable items are never recommended.",
  );

  // Latency: one chart, and a row for each stage to choose it by.
  const stages = h("tbody");
  let stage = null;
  const latencyChart = lineChart({
    label: "Latency",
    series: ["p50", "p99"],
    show: millis,
  });
  const latency = tile(
    "Latency",
    "Half of the calls of the last minute took at most the p50, 99 of 100 at most the p99. Choose a stage to draw it.",
    [
      h(
        "div",
        { class: "split" },
        h(
          "table",
          { "aria-label": "Latency by stage" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              h("th", { scope: "col" }, "Stage"),
              h("th", { scope: "col", class: "end" }, "p50"),
              h("th", { scope: "col", class: "end" }, "p90"),
              h("th", { scope: "col", class: "end" }, "p99"),
            ),
          ),
          stages,
        ),
        latencyChart.node,
      ),
    ],
    "wide",
  );

  const all = h("dl", { class: "pairs many" });
  const counters = h("details", { class: "tile wide" }, h("summary", {}, "All counters since the start"), all);

  const choices = h(
    "div",
    { class: "choices", role: "group", "aria-labelledby": "span-name" },
    SPANS.map(([ms, name]) =>
      h("button", { type: "button", class: "choice", value: ms, on: { click: () => chooseSpan(ms) } }, name),
    ),
  );

  setChildren(
    node(),
    quality.box,
    h("div", { class: "row spans" }, h("span", { id: "span-name" }, "Drawn over the last"), choices),
    h(
      "div",
      { class: "tiles" },
      events.box,
      answers.box,
      lag.box,
      latency.box,
      memory.box,
      horizon.box,
      kept.box,
      dead.box,
      snapshot.box,
      catalogue.box,
      counters,
    ),
  );

  const charts = [events, answers, lag, memory, horizon];
  let history = null; // what is drawn
  let span = HOUR_MS;

  function drawLatency() {
    latencyChart.update(valuesOf(history, [`latency_ms.${stage}.p50`, `latency_ms.${stage}.p99`]), span);
  }

  function drawAll() {
    for (const { chart, names } of charts) chart.update(valuesOf(history, names), span);
    drawLatency();
  }

  function chooseSpan(ms) {
    span = ms;
    for (const button of choices.children) button.setAttribute("aria-pressed", String(Number(button.value) === span));
    if (history) drawAll();
  }
  chooseSpan(span);

  function choose(name) {
    stage = name;
    for (const row of stages.children)
      row.firstChild.firstChild.setAttribute("aria-pressed", String(row.rowKey === name));
    drawLatency();
  }

  function showLatency(stats) {
    const known = Object.entries(stats.latency_ms ?? {}).filter(([, found]) => Number.isFinite(found?.p50));
    syncRows(
      stages,
      known,
      ([name]) => name,
      ([name]) =>
        h(
          "tr",
          {},
          h(
            "th",
            { scope: "row" },
            h(
              "button",
              {
                type: "button",
                class: "choice",
                title: STAGES[name]?.[1],
                "aria-pressed": "false",
                on: { click: () => choose(name) },
              },
              STAGES[name]?.[0] ?? name,
            ),
          ),
          h("td", { class: "end" }),
          h("td", { class: "end" }),
          h("td", { class: "end" }),
        ),
      (row, [, found]) => ["p50", "p90", "p99"].forEach((name, i) => setText(row.children[i + 1], millis(found[name]))),
    );
    const names = known.map(([name]) => name);
    latency.box.querySelector(".split").hidden = !names.length;
    if (!names.length) return latency.show("–", "nothing measured yet");
    if (!names.includes(stage)) choose(["http", "end_to_end", "answer", names[0]].find((name) => names.includes(name)));
    const found = stats.latency_ms[stage];
    return latency.show(millis(found.p50), `p50, ${millis(found.p99)} p99: ${STAGES[stage]?.[1] ?? stage}`);
  }

  function pairs(list, rows) {
    syncRows(
      list,
      rows,
      ([name]) => name,
      ([name]) => h("div", {}, h("dt", {}, name), h("dd")),
      (row, [, value]) => setText(row.lastChild, value),
    );
  }

  return (stats, points) => {
    const isNew = history !== points;
    history = points;
    const { rates } = stats;
    const retained = stats.retained ?? {};
    setText(document.getElementById("live-sentence"), sentence(stats));
    quality.show(stats);
    events.show(short(rates.events_per_s), "events/s");
    answers.show(short(rates.answers_per_s), `answers/s, ${short(rates.http_per_s)} HTTP requests/s`);

    const parts = Object.entries(stats.lag ?? {});
    lag.box.hidden = !parts.length;
    lag.show(short(sum(stats.lag)), sum(stats.lag) === 1 ? "record" : "records");
    if (parts.length > 1) {
      const most = Math.max(1, ...parts.map(([, n]) => n));
      setChildren(
        partitions,
        h(
          "details",
          { class: "more", open: partitions.querySelector("details")?.open },
          h("summary", {}, `By partition (${parts.length})`),
          bars(
            parts.map(([name, n]) => ({
              name: stats.owned?.includes(name) ? `${name} (assigned)` : name,
              share: n / most,
              value: short(n),
            })),
            "Lag by partition",
          ),
        ),
      );
    }

    const of = retained.max_bytes
      ? `of ${bytes(retained.max_bytes)}: ${percent(retained.bytes / retained.max_bytes, 0)}`
      : "no limit set";
    memory.show(bytes(retained.bytes), of);
    budget = retained.max_bytes;
    memory.box.classList.toggle("full", Boolean(budget) && retained.bytes > 0.97 * budget);

    kept.show(number(retained.sessions), retained.sessions === 1 ? "visit" : "visits");
    pairs(held, [
      ["events in them", number(retained.events)],
      ["different items", number(retained.items)],
      ["visits evicted", number(retained.evicted)],
    ]);

    horizon.show(
      duration(retained.horizon_ms),
      retained.watermark ? `before ${moment(retained.watermark)}` : "no event yet",
    );

    const letters = Object.entries(stats.dead_letters ?? {})
      .filter(([, n]) => n > 0)
      .sort((a, b) => b[1] - a[1]);
    const n_dead = sum(stats.dead_letters);
    dead.show(number(n_dead), n_dead === 1 ? "record" : "records");
    const worst = Math.max(1, ...letters.map(([, n]) => n));
    setChildren(
      aside,
      letters.length
        ? bars(
            letters.map(([code, n]) => ({
              name: REASONS[code] ?? code,
              title: code,
              share: n / worst,
              value: number(n),
              tone: "warm",
            })),
            "Dead letters by reason",
          )
        : h("p", { class: "quiet" }, "All records could be applied."),
    );

    const { name, age_s: age } = stats.snapshot ?? {};
    if (!name) snapshot.show("none", "yet, or snapshots are off");
    else snapshot.show(duration(age * 1000), `old: ${name}`);
    catalogue.box.hidden = !stats.catalogue;
    if (stats.catalogue)
      catalogue.show(number(stats.catalogue.items), `items, ${number(stats.catalogue.unavailable)} not available`);

    pairs(
      all,
      Object.entries(stats.counts ?? {}).map(([name, n]) => [COUNTERS[name] ?? name, number(n)]),
    );
    showLatency(stats);
    if (isNew) drawAll();
  };
}

const COUNTERS = {
  read: "records read",
  applied: "events applied",
  forgets: "orders to forget",
  forgot_nothing: "orders to forget that erased nothing",
  duplicates: "duplicates skipped",
  answers: "answers",
  asked: "answers over HTTP",
  requests: "requests",
  expired: "requests too old to answer",
  followed: "records that other replicas answer for",
};

function sentence(stats) {
  const { retained } = stats;
  const { doing } = stats;
  const isBusy = doing && doing.phase !== "ready"; // and its own words say how far it is
  const state = isBusy
    ? doing.message[0].toUpperCase() + doing.message.slice(1)
    : (STATES[stats.state] ?? stats.state);
  if (!retained) return `${state}.`;
  const back = retained.horizon_ms ? `, back to ${duration(retained.horizon_ms)} before the newest event` : "";
  return `${state}. It retains ${count(retained.sessions, "visit")}${back}.`;
}
