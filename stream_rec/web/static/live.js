// The view of what the service is doing: a tile for each figure, drawn over the last five minutes.

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
import { headline } from "./quality.js";

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

/** A tile with a chart; `of(stats)` gives the values that are drawn. */
function drawn(title, help, { series, show, of, ceil, more = [] }) {
  const chart = lineChart({ label: title, series, show, ceil });
  return { ...tile(title, help, [chart.node, more]), chart, of };
}

export function liveView() {
  const quality = headline();

  const events = drawn(
    "Events arriving",
    "Views, clicks and purchases that arrived and were applied, per second.",
    { of: (stats) => [stats.rates.events_per_s] },
  );
  const answers = drawn("Answers given", "Lists of recommendations, and HTTP requests of any kind, per second.", {
    series: ["answers", "HTTP"],
    of: (stats) => [stats.rates.answers_per_s, stats.rates.http_per_s],
  });

  const partitions = h("div");
  const lag = drawn("Waiting to be read", "Events in the topic that were not read yet. Near 0 is up to date.", {
    of: (stats) => [stats.lag && Object.keys(stats.lag).length ? sum(stats.lag) : null],
    more: partitions,
  });

  let budget = null;
  const memory = drawn("Memory", "Memory of the remembered visits, and the budget you set.", {
    show: bytes,
    of: (stats) => [stats.retained?.bytes],
    ceil: (most) => (budget ? Math.max(budget, most) : roundUp(most)),
  });

  const held = h("dl", { class: "pairs" });
  const remembered = tile("Remembered", "The visits that recommendations are made from. The oldest leave first.", held);

  const horizon = drawn("Looks back", "Time from the newest event to the oldest visit that is still remembered.", {
    show: duration,
    ceil: roundDuration,
    of: (stats) => [stats.retained?.horizon_ms],
  });

  const aside = h("div");
  const dead = tile(
    "Set aside",
    "Records that could not be applied, by reason. Nothing is dropped without being counted here.",
    aside,
  );

  const kept = tile("Snapshot", "A copy on disk, so that a restart need not read the whole log again.");
  const catalogue = tile(
    "Catalogue",
    "Items with title, price and availability. Unavailable items are never recommended.",
  );

  // Latency: one chart, and a row for each stage to choose it by.
  const stages = h("tbody");
  let stage = null;
  const latencyChart = lineChart({
    label: "Latency",
    series: ["half are faster than", "99\u00a0% are faster than"],
    show: millis,
  });
  const latency = tile(
    "How long it takes",
    "",
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
              h("th", { scope: "col", class: "end" }, "half"),
              h("th", { scope: "col", class: "end" }, "90\u00a0%"),
              h("th", { scope: "col", class: "end" }, "99\u00a0%"),
            ),
          ),
          stages,
        ),
        latencyChart.node,
      ),
    ],
    "wide",
  );
  latency.box.querySelector(".help").textContent =
    "Half, 90\u00a0% and 99\u00a0% of the calls of the last minute took at most this long. Choose a stage to draw it.";

  const all = h("dl", { class: "pairs many" });
  const counters = h("details", { class: "tile wide" }, h("summary", {}, "All counters since the start"), all);

  setChildren(
    node(),
    quality.box,
    h(
      "div",
      { class: "tiles" },
      events.box,
      answers.box,
      lag.box,
      latency.box,
      memory.box,
      horizon.box,
      remembered.box,
      dead.box,
      kept.box,
      catalogue.box,
      counters,
    ),
  );

  const charts = [events, answers, lag, memory, horizon];
  let history = [];

  function drawLatency() {
    latencyChart.update(
      history.map(({ at, stats }) => {
        const found = stats.latency_ms?.[stage];
        return { at, values: [found?.p50 ?? null, found?.p99 ?? null] };
      }),
    );
  }

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
    latency.show(millis(found.p50), `for half, ${millis(found.p99)} for 99\u00a0%: ${STAGES[stage]?.[1] ?? stage}`);
    return drawLatency();
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

  return (stats, samples) => {
    history = samples;
    const { rates } = stats;
    const retained = stats.retained ?? {};
    setText(document.getElementById("live-sentence"), sentence(stats));
    quality.show(stats);
    events.show(short(rates.events_per_s), "events/s");
    answers.show(short(rates.answers_per_s), `answers/s, ${short(rates.http_per_s)} HTTP requests/s`);

    const parts = Object.entries(stats.lag ?? {});
    lag.box.hidden = !parts.length;
    lag.show(short(sum(stats.lag)), sum(stats.lag) === 1 ? "event" : "events");
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
            "Waiting by partition",
          ),
        ),
      );
    }

    const of = retained.max_bytes
      ? `of ${bytes(retained.max_bytes)}: ${percent(retained.bytes / retained.max_bytes, 0)}`
      : "no budget set";
    memory.show(bytes(retained.bytes), of);
    budget = retained.max_bytes;
    memory.box.classList.toggle("full", Boolean(budget) && retained.bytes > 0.97 * budget);

    remembered.show(number(retained.sessions), retained.sessions === 1 ? "visit" : "visits");
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
            "Records set aside by reason",
          )
        : h("p", { class: "quiet" }, "All records could be applied."),
    );

    const { name, age_s: age } = stats.snapshot ?? {};
    if (!name) kept.show("none", "yet, or snapshots are off");
    else if (Number.isFinite(age)) kept.show(duration(age * 1000), `old: ${name}`);
    else kept.show("kept", name);
    catalogue.box.hidden = !stats.catalogue;
    if (stats.catalogue)
      catalogue.show(number(stats.catalogue.items), `items, ${number(stats.catalogue.unavailable)} not available`);

    pairs(
      all,
      Object.entries(stats.counts ?? {}).map(([name, n]) => [COUNTERS[name] ?? name, number(n)]),
    );
    showLatency(stats);
    for (const each of charts)
      each.chart.update(samples.map((sample) => ({ at: sample.at, values: each.of(sample.stats) })));
  };
}

const COUNTERS = {
  read: "records read",
  applied: "events applied",
  forgets: "orders to forget",
  duplicates: "duplicates skipped",
  answers: "answers",
  asked: "answers over HTTP",
  requests: "requests",
  expired: "requests too old to answer",
  followed: "records that other replicas answer for",
};

function sentence(stats) {
  const { retained } = stats;
  const state = STATES[stats.state] ?? stats.state;
  if (!retained) return `${state}.`;
  const back = retained.horizon_ms ? `, back to ${duration(retained.horizon_ms)} before the newest event` : "";
  return `${state}. It remembers ${count(retained.sessions, "visit")}${back}.`;
}
