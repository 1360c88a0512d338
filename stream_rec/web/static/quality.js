// The view of how good the recommendations are: compares them with what visitors did next.

import { bar, lineChart } from "./chart.js";
import { h, setChildren, setText, syncRows } from "./dom.js";
import { HOUR_MS, valuesOf } from "./history.js";
import { count, lastStretch, number, percent, stretch } from "./format.js";
import { ordersCards } from "./orders.js";
import { shownCard } from "./shown.js";

const FEW = 100; // with fewer checked lists, a share may be off by ten points either way

/**
 * A tile each, where a model has the figure: its name in /v1/stats, its title and meaning, how many were counted for it,
 * and what these are.
 */
const METRICS = [
  {
    name: "hr",
    title: (n) => `HR@${n}`,
    words: (n) => `The share of checked lists that contained the visitor’s next item, anywhere among the ${n}.`,
    counted: (model) => model.scored,
    what: "list",
    done: "checked",
  },
  {
    name: "hr_novel",
    title: (n) => `HR@${n} of new items`,
    words: () =>
      "The same where the next item was one that the visitor had not seen in this visit. Harder, and worth more.",
    counted: (model) => model.novel_scored,
    what: "list",
    done: "checked",
  },
  {
    name: "mrr",
    title: (n) => `MRR@${n}`,
    words: () =>
      "How high the next item stood: the mean of 1 if it was first, 1/2 if second, 1/3 if third, and 0 if it was not in the list.",
    counted: (model) => model.scored,
    what: "list",
    done: "checked",
  },
  {
    name: "coverage",
    title: () => "Coverage",
    words: () =>
      "The share of retained items that were recommended at all. Low means that all visitors see the same few.",
    counted: (model) => model.answers,
    what: "list",
    done: "given",
  },
];

/** The most recent window that can be trusted: the shortest with enough checked lists, or else the longest. */
function bestWindow(quality) {
  const windows = [...(quality?.windows ?? [])].sort((a, b) => a.window_s - b.window_s);
  return windows.find((each) => each.models.some((model) => !model.shadow && model.scored >= FEW)) ?? windows.at(-1);
}

/** Low and high of a metric's interval, if it has one. */
function interval(model, metric) {
  const [low, high] = [model[`${metric}_low`], model[`${metric}_high`]];
  return Number.isFinite(low) && Number.isFinite(high) ? { low, high } : {};
}

const shown = (metric, value) =>
  metric === "mrr" ? (Number.isFinite(value) ? value.toFixed(3) : "–") : percent(value);

/** The figure at the top of the first view, with a link to the others. */
export function headline() {
  const figure = h("span", { class: "figure huge" });
  const words = h("span", { class: "claim" });
  const basis = h("span", { class: "small" });
  const drawing = h("div", { class: "headline-bar" });
  const box = h(
    "article",
    { class: "headline" },
    h("h2", {}, "Are the recommendations any good?"),
    figure,
    h("div", { class: "claims" }, words, basis),
    drawing,
    h("a", { href: "#/quality" }, "By model, and over time"),
  );
  return {
    box,
    show(stats) {
      const window = bestWindow(stats.quality);
      const model = window?.models.find((each) => !each.shadow) ?? window?.models[0];
      if (!model || !model.scored) {
        figure.hidden = true;
        setText(
          words,
          stats.quality
            ? "No visitor with recommendations has gone on to another item yet, so there is nothing to measure."
            : "This service does not measure its quality.",
        );
        setChildren(drawing);
        setText(basis, "");
        return;
      }
      figure.hidden = false;
      setText(figure, percent(model.hr, 0));
      setText(
        words,
        `of the time, the item that a visitor went to next was among the ${stats.quality.n} just recommended.`,
      );
      setText(
        basis,
        `${count(model.scored, "list")} checked in the last ${lastStretch(window.window_s)}${model.scored < FEW ? ": too few to rule out chance" : ""}. Model: ${model.model}.`,
      );
      setChildren(drawing, bar(model.hr, interval(model, "hr")));
    },
  };
}

export function qualityView() {
  const node = document.getElementById("quality");
  const choices = h("div", { class: "choices", role: "group", "aria-label": "Over the last" });
  const help = h("p", { class: "help" });
  const grid = h("div", { class: "tiles" });
  const over = h("article", { class: "tile wide" });
  const clicked = shownCard();
  const learned = ordersCards();
  const none = h("p", { class: "notice" });
  setChildren(
    node,
    none,
    h("div", { class: "row" }, h("span", {}, "Over the last"), choices),
    help,
    grid,
    learned.node,
    clicked.node,
    over,
    limits(),
  );
  let chosen = null;
  let last = null;
  let chart = null;
  let drawnFor = "";

  function choose(window_s) {
    chosen = window_s;
    if (last) view(...last);
  }

  function view(stats, points) {
    last = [stats, points];
    learned.show(stats);
    const { quality } = stats;
    const windows = quality?.windows ?? [];
    const isNone = !windows.some((each) => each.models.length);
    none.hidden = !isNone;
    for (const part of node.children) if (part !== none && part !== learned.node) part.hidden = isNone;
    if (isNone) {
      setText(
        none,
        "No quality figures yet. They begin when visitors who were recommended something go on to another item.",
      );
      return;
    }
    if (!windows.some((each) => each.window_s === chosen)) chosen = bestWindow(quality).window_s;
    syncRows(
      choices,
      windows,
      (each) => each.window_s,
      (each) =>
        h(
          "button",
          { type: "button", class: "choice", on: { click: () => choose(each.window_s) } },
          lastStretch(each.window_s),
        ),
      (button, each) => button.setAttribute("aria-pressed", String(each.window_s === chosen)),
    );
    const window = windows.find((each) => each.window_s === chosen);
    clicked.show(window);
    const shares = new Map((stats.models ?? []).map((each) => [each.name, each.share]));
    const few = window.models.filter((each) => each.scored < FEW);
    setText(
      help,
      few.length
        ? `Few lists are checked yet (${few.map((each) => `${each.model}: ${number(each.scored)}`).join(", ")}): these figures may be chance.`
        : "Longer windows are steadier; shorter ones show a change sooner.",
    );
    syncRows(
      grid,
      METRICS.filter(({ name }) => window.models.some((each) => name in each)),
      ({ name }) => name,
      ({ title, words }) =>
        h(
          "article",
          { class: "tile" },
          h("h2", {}, title(quality.n)),
          h("p", { class: "help" }, words(quality.n)),
          h("ul", { class: "models" }),
        ),
      (box, metric) =>
        syncRows(
          box.lastChild,
          window.models,
          (each) => each.model,
          (each) => model(each, shares),
          (row, each) => showModel(row, each, metric),
        ),
    );

    const models = window.models.map((each) => each.model);
    const wanted = JSON.stringify([models, chosen]);
    if (drawnFor !== wanted) {
      drawnFor = wanted;
      chart = lineChart({
        label: `HR@${quality.n}, over the last ${lastStretch(chosen)}`,
        series: models,
        show: (value) => percent(value, 0),
      });
      setChildren(
        over,
        h("h2", {}, "In the last hour"),
        h("p", { class: "help" }, `HR@${quality.n} of each model, each point over ${stretch(chosen)}.`),
        chart.node,
      );
    }
    const names = window.models.map((each) => `quality.${chosen}.${each.model}.hr`);
    chart.update(valuesOf(points, names), HOUR_MS);
  }
  return view;
}

function model(each, shares) {
  const share = shares.get(each.model);
  const served = each.shadow
    ? "computed, but not shown to visitors"
    : share !== undefined
      ? `for ${percent(share, 0)} of the visits`
      : "";
  return h(
    "li",
    {},
    h(
      "div",
      { class: "model" },
      h("span", { class: "name" }, each.model),
      " ",
      h("span", { class: "small" }, served),
      h("span", { class: "value" }),
    ),
    h("div", { class: "model-bar" }),
    h("div", { class: "small" }),
  );
}

function showModel(row, each, metric) {
  const counted = metric.counted(each);
  const value = counted ? each[metric.name] : null;
  const { low, high } = interval(each, metric.name);
  setText(row.querySelector(".value"), shown(metric.name, value));
  setChildren(row.children[1], bar(value, { low, high, tone: each.shadow ? "quiet" : "" }));
  const of = `${count(counted, metric.what)} ${metric.done}`;
  setText(
    row.children[2],
    low === undefined ? of : `${of}; with 95\u00a0% certainty from ${shown(metric.name, low)} to ${shown(metric.name, high)}`,
  );
}

function limits() {
  return h(
    "article",
    { class: "tile wide" },
    h("h2", {}, "What these figures do not say"),
    h(
      "ul",
      { class: "words" },
      h(
        "li",
        {},
        "Recommendations influence the visitors who see them: a hit may be a click that the list itself caused.",
      ),
      h("li", {}, "A visitor who leaves is not counted, nor is one who got no recommendations."),
      h(
        "li",
        {},
        "The figures say whether the next item was predicted, not whether more was sold. For that, compare two models on two groups of visitors.",
      ),
      h(
        "li",
        {},
        "Compare models over the same window. What is good depends on the shop: with more items to choose from, every figure is lower.",
      ),
    ),
  );
}
