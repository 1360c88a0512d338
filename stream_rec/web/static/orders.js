// The learned order in words: what is played for a model, by how much it is ahead, and what matters in it. A card of the
// view of quality; names of weights are read here only.

import { bars } from "./chart.js";
import { h, setChildren, setText, syncRows } from "./dom.js";
import { count, duration, moment, number, percent } from "./format.js";

const SHOWN = 6;
const FORMS = {
  plain: ["the model’s own order", "nothing is learned"],
  linear: ["linear", "a weight for each feature"],
  hidden: ["hidden", "these and 16 hidden units"],
};

/** `hidden@1700000000000` as `{form, at}`: the boundary is a time of events. */
function weightsOf(name) {
  const [form, at] = name.split("@");
  return { form, at: Number(at) };
}

/** Weights as part of a sentence: "linear weights of 9 Dec 2011, 12:50 UTC". */
export function weightsInWords(name) {
  const { form, at } = weightsOf(name);
  return `${form} weights of ${moment(at)}`;
}

/** A card for each learned order, or how to switch it on: `show(stats)`. */
export function ordersCards() {
  const node = h("div", { class: "orders" });
  function show(stats) {
    const orders = stats.orders ?? [];
    const isAlone = orders.length < 2;
    const rows = orders.length ? orders : [{ model: "" }];
    syncRows(
      node,
      rows.map((order) => ({ order, isAlone, newest: stats.retained?.watermark })),
      ({ order }) => `${order.model}/${order.setting ?? "off"}`,
      ({ order }) => (order.setting ? card() : off()),
      (box, row) => box.change?.(row),
    );
  }
  return { node, show };
}

const off = () =>
  h(
    "article",
    { class: "tile" },
    h("h2", {}, "Learned order"),
    h(
      "p",
      { class: "help" },
      "Off. Start the service with ",
      h("code", {}, "--rerank auto"),
      " to have it learn a better order from its visits, and play it only while that is ahead.",
    ),
  );

function card() {
  const title = h("h2");
  const played = h("p", { class: "claim" });
  const ahead = h("p");
  const next = h("p", { class: "help" });
  const guard = h("div");
  const matters = h("div");
  const switchOff = h(
    "p",
    { class: "help" },
    "To switch it off at once: start with ",
    h("code", {}, "--rerank off"),
    ", or send ",
    h("code", {}, '"rerank": "off"'),
    " with a request. Nothing else changes.",
  );
  const box = h("article", { class: "tile" }, title, played, ahead, next, h("div", { class: "halves" }, guard, matters), switchOff);
  let drawn = "";

  box.change = ({ order, isAlone, newest }) => {
    setText(title, isAlone ? "Learned order" : `Learned order of ${order.model}`);
    setText(played, inForce(order, newest));
    setText(ahead, lead(order));
    ahead.hidden = !ahead.textContent;
    setText(next, upNext(order));
    const wanted = JSON.stringify([order.mrr, order.playing, order.examples, order.features]);
    if (drawn === wanted) return; // what is open stays open
    drawn = wanted;
    const isLearned = Number.isFinite(order.mrr.plain);
    setChildren(guard, isLearned ? guarded(order) : null);
    setChildren(matters, order.features.length ? mattering(order) : null);
  };
  return box;
}

function inForce(order, newest) {
  if (order.playing) {
    const { form, at } = weightsOf(order.playing);
    const age = Number.isFinite(newest) ? `, ${duration(newest - at)} before the newest event` : "";
    return `Answers are in the order of the ${form} weights, learned from visits up to ${moment(at)}${age}.`;
  }
  if (!Number.isFinite(order.mrr.plain)) return "Answers are in the model’s own order: nothing is learned yet.";
  return bestLearned(order)[1] > order.mrr.plain
    ? `Answers are in the model’s own order: ${count(order.examples, "question")} to learn from ${order.examples === 1 ? "is" : "are"} too few.`
    : "Answers are in the model’s own order: no learned one is ahead of it.";
}

const bestLearned = (order) =>
  Object.entries(order.mrr)
    .filter(([form]) => form !== "plain")
    .sort((a, b) => b[1] - a[1])[0] ?? ["", 0];

/** By how much the order in force is ahead, on questions that no weights had seen. */
function lead(order) {
  const own = order.mrr.plain;
  if (!order.playing || !Number.isFinite(own)) return "";
  const by = order.mrr[weightsOf(order.playing).form] - own;
  const share = own > 0 ? ` (${percent(Math.abs(by) / own, 0)})` : "";
  return `It is ${by < 0 ? "behind" : "ahead of"} the model’s own order by ${Math.abs(by).toFixed(3)} MRR@20${share}.`;
}

function upNext(order) {
  const again = Number.isFinite(order.mrr.plain) ? "again " : "";
  if (order.phase !== "waiting") return `It is learning ${again}now: ${percent(order.done, 0)} of the questions are put.`;
  return order.events_left
    ? `It learns ${again}after ${count(order.events_left, "more event")}.`
    : `It learns ${again}as soon as there are enough questions.`;
}

function guarded(order) {
  const playing = order.playing ? weightsOf(order.playing).form : "plain";
  const top = Math.max(...Object.values(order.mrr)) || 1;
  const rows = Object.entries(order.mrr).map(([form, value]) => {
    const [name, words] = FORMS[form] ?? [form, ""];
    return {
      name: h("span", {}, name, " ", h("span", { class: "small" }, form === playing ? "in force" : words)),
      share: value / top,
      value: value.toFixed(3),
      tone: form === playing ? "" : "quiet",
    };
  });
  return [
    h("h3", {}, "MRR@20 of each order"),
    h(
      "p",
      { class: "help" },
      `Past visits ask ${count(order.examples, "question")} whose answer is known. Weights that were learned from the older four fifths answer the newest fifth, which they have not seen.`,
    ),
    bars(rows, "MRR@20 of each order"),
  ];
}

function mattering(order) {
  const moving = order.features.filter((each) => each.importance > 0);
  const top = moving[0]?.importance || 1;
  const row = ({ meaning, importance }) => ({ name: meaning, share: importance / top, value: number(importance) });
  const more = moving.slice(SHOWN);
  return [
    h("h3", {}, "What matters on this log"),
    h("p", { class: "help" }, "By how much each feature moves the score of a candidate, up or down, on average."),
    bars(moving.slice(0, SHOWN).map(row), "What matters on this log"),
    more.length
      ? h(
          "details",
          { class: "more" },
          h("summary", {}, `Show the next ${more.length}`),
          bars(more.map(row), "What matters less"),
        )
      : null,
  ];
}
