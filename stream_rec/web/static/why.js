// Why an item is recommended, in words and bars: the items it comes from, the visits, and each factor; in a learned order,
// what each feature adds or takes. In each list the parts add up to the whole score.

import { bars } from "./chart.js";
import { h } from "./dom.js";
import { addends, count, duration, moment, number, percent, portions } from "./format.js";
import { weightsInWords } from "./orders.js";
import { itemName } from "./titles.js";

const SHOWN = 5;
const FEATURES = 6; // that are listed each by itself
const FACTORS = [
  ["normalise", "lowers the weight of long visits, which have something in common with every visit"],
  ["age", "the age of the visit: older visits count less"],
  ["match", "how recently this visit touched the shared items: 1 is just now"],
  ["place", "how close the item was to the shared items: 1 is next to them"],
  ["direction", "1 if the item came after the shared items, less if before"],
];
const WHOLE = [
  ["idf", "rare items count more"],
  ["mix", "the share of similar visits in the score, beside that of what often follows"],
  ["repeats", "this visit has already seen the item"],
  ["boost", "a boost from your rules"],
];

export function explain(item) {
  const why = item.why;
  if (!why) return [h("p", {}, "The service gave no explanation for this item.")];
  if (why.kind === "followed") return followed(why);
  if (why.kind === "popular") return popular(why);
  if (why.kind === "learned") return learned(item, why);
  if (why.kind === "newest") return newest(why);
  return neighbours(item, why);
}

function followed(why) {
  return [
    h(
      "p",
      {},
      "Similar visits did not fill the list, so it was filled with what often comes next: ",
      h("strong", {}, count(why.count, "time")),
      " this item came right after ",
      itemName(why.after),
      ".",
      boosted(why),
    ),
  ];
}

const boosted = (why) =>
  Number.isFinite(why.boost) && why.boost !== 1 ? ` Your rules multiply that by ${number(why.boost)}.` : "";

function popular(why) {
  return [
    h(
      "p",
      {},
      "Similar visits did not fill the list, so it was filled with popular items. This item’s count is ",
      h("strong", {}, number(why.count)),
      ": each event counts 1 when it is new, and half of that ",
      why.half_life_ms ? `after ${duration(why.half_life_ms)}.` : "some days later.",
      boosted(why),
    ),
  ];
}

function newest(why) {
  const alike = why.category ? [" in ", h("strong", {}, why.category), ", the category of the last item"] : " in the catalogue";
  return [
    h(
      "p",
      {},
      why.reserved
        ? "This place of the list is kept for new items. "
        : "Similar visits did not fill the list, so it was filled with new items. ",
      "This is one of the newest",
      alike,
      ": it was listed on ",
      h("strong", {}, moment(why.listed_at)),
      ". Its place does not depend on how often it was clicked.",
    ),
  ];
}

const ALWAYS = {
  session: "This visit had it before: its own last items are always candidates.",
  popular: "It is popular now: such items are always candidates.",
};

function learned(item, why) {
  const { features } = why;
  const further = features.slice(FEATURES).filter((each) => each.share !== 0);
  const parts = features.slice(0, FEATURES).filter((each) => each.share !== 0);
  const rows = parts.map(({ meaning, share }) => ({ name: meaning, share }));
  if (further.length) rows.push({ name: `further ${count(further.length, "feature")}`, share: sumOf(further) });
  if (Number.isFinite(why.boost) && why.boost !== 1)
    rows.push({ name: `a boost from your rules, × ${number(why.boost)}`, share: Math.log(why.boost) });
  return [
    h(
      "p",
      {},
      "In the learned order its score is ",
      h("strong", {}, signed(why.total)),
      ". The typical candidate has the first of these, and the others lead from there to this score:",
    ),
    bars(summing([{ name: "the typical candidate", share: why.typical, tone: "quiet" }, ...rows], why.total), "What each feature adds or takes"),
    h(
      "p",
      { class: "help" },
      `By the ${weightsInWords(why.weights)}. A score that is higher by 1 makes an item 2.7 times as likely to come next.`,
    ),
    h("h3", {}, "What made it a candidate"),
    why.candidate
      ? [
          h(
            "p",
            { class: "help" },
            `The model’s own score, ${number(why.candidate.total)}: the learned order takes it as one feature.`,
          ),
          neighbours(item, why.candidate),
        ]
      : h("p", {}, ALWAYS[item.source] ?? "The model itself gave it no score."),
  ];
}

const signed = (value) => addends([value])[0];

/** Rows of what is added up: values with their sign add up to the total as shown, and what takes is of another colour. */
function summing(rows, total) {
  const most = Math.max(...rows.map((row) => Math.abs(row.share))) || 1;
  const shown = addends(
    rows.map((row) => row.share),
    total,
  );
  return rows.map((row, i) => ({
    tone: row.share < 0 ? "takes" : "",
    ...row,
    share: Math.abs(row.share) / most,
    value: shown[i],
  }));
}

/** The rows of a list whose shares add up to the score: their percentages add up to 100. */
function adding(rows, total) {
  const shown = portions(rows.map((row) => row.share));
  return rows.map((row, i) => ({ ...row, share: row.share / total, value: shown[i] }));
}

const ruledRow = (why) =>
  why.rules
    ? [{ name: h("span", {}, "often follows ", itemName(why.rules.after)), share: why.rules.share, tone: "followed" }]
    : [];

const sumOf = (rows) => rows.reduce((sum, row) => sum + row.share, 0);

function neighbours(item, why) {
  const total = why.total || item.score || 1;
  const n = why.neighbours.length + (why.others?.neighbours ?? 0);
  const further = why.parts.slice(SHOWN);
  const n_further = further.length + (why.other_parts?.items ?? 0);
  const rows = [
    ...why.parts.slice(0, SHOWN).map(({ item_id: id, share }) => ({ name: itemName(id), share })),
    ...ruledRow(why),
  ].sort((a, b) => b.share - a.share);
  if (n_further)
    rows.push({
      name: `further ${count(n_further, "item")} in common`,
      share: sumOf(further) + (why.other_parts?.share ?? 0),
      tone: "quiet",
    });
  const similar = n
    ? [
        h("strong", {}, count(n, "earlier visit")),
        n === 1 ? " like this one also has this item. " : " like this one also have this item. ",
      ]
    : [];
  const ruled = why.rules
    ? [
        "It came after ",
        itemName(why.rules.after),
        " in ",
        h("strong", {}, count(why.rules.sessions, "visit")),
        " of any kind. ",
      ]
    : [];
  const isRuled = why.rules && why.rules.share > total / 2;
  return [
    h("p", {}, isRuled ? [ruled, similar] : [similar, ruled], "How much of the score comes from what:"),
    bars(adding(rows, total), "How much of the score each shared item adds"),
    n
      ? [
          h("h3", {}, "The visits it comes from"),
          h("p", { class: "help" }, "The neighbours. The bar is each visit’s part of the score."),
          visits(why, total),
        ]
      : null,
    factors(why),
  ];
}

function visits(why, total) {
  const shown = (each) =>
    each.session_id === null || each.session_id === undefined
      ? "a visit (ids are hidden)"
      : h("a", { class: "id", href: `#/visitors/${encodeURIComponent(each.session_id)}` }, each.session_id);
  const row = (each) => ({
    name: h(
      "span",
      {},
      shown(each),
      h(
        "span",
        { class: "small" },
        ` ${count(each.shared.length + (each.shared_others?.items ?? 0), "item")} in common, ${duration(each.age_ms)} ago`,
      ),
    ),
    share: each.share,
  });
  const next = why.neighbours.slice(SHOWN);
  const others = why.others ?? { neighbours: 0, share: 0 };
  const n_further = next.length + others.neighbours;
  const further = (n, share) => ({ name: `further ${count(n, "neighbour")}`, share, tone: "quiet" });
  const rows = [...why.neighbours.slice(0, SHOWN).map(row), ...ruledRow(why)];
  if (n_further) rows.push(further(n_further, sumOf(next) + others.share));
  const more = next.map(row);
  if (others.neighbours) more.push(further(others.neighbours, others.share));
  return [
    bars(adding(rows, total), "The visits that add most"),
    next.length
      ? h(
          "details",
          { class: "more" },
          h("summary", {}, `Show the next ${next.length}`),
          bars(
            more.map((each) => ({ ...each, share: each.share / total, value: percent(each.share / total, 1) })),
            "The other visits",
          ),
        )
      : null,
  ];
}

const factor = (name, words, share, value) => ({
  name: h("span", {}, name, " ", h("span", { class: "small" }, words)),
  share,
  value: number(value),
});

/** The factors of the neighbour that adds most. A factor of 1 changes nothing and is left out. */
function factors(why) {
  const [best] = why.neighbours; // the largest share is first
  const most = Math.max(...why.neighbours.map((each) => each.similarity), 0) || 1;
  const rows = best
    ? [
        factor(
          "similarity",
          "how much it has in common with this visit (bar: compared with the most similar visit)",
          best.similarity / most,
          best.similarity,
        ),
        ...FACTORS.filter(([name]) => Number.isFinite(best[name]) && best[name] !== 1).map(([name, words]) =>
          factor(name, words, best[name], best[name]),
        ),
      ]
    : [];
  const whole = WHOLE.filter(([name]) => Number.isFinite(why[name]) && why[name] !== 1).map(([name, words]) =>
    h("li", {}, h("strong", {}, `× ${number(why[name])}`), ` ${name}: ${words}`),
  );
  return h(
    "details",
    { class: "more" },
    h("summary", {}, "How the score is computed"),
    best
      ? [
          h(
            "p",
            {},
            "Each visit’s part is a product. For the one that adds most",
            best.session_id ? [", ", h("span", { class: "id" }, best.session_id)] : null,
            ":",
          ),
          bars(rows, "The factors of that visit"),
          best.again
            ? h(
                "p",
                {},
                `It has the item ${count(best.again.times, "time")} more, which adds ${number(best.again.factor)}.`,
              )
            : null,
        ]
      : null,
    whole.length ? [h("p", {}, "For the item as a whole:"), h("ul", { class: "words" }, whole)] : null,
    h(
      "p",
      {},
      "Factors of 1 change nothing and are not shown. All parts add up to the score, ",
      h("strong", {}, number(why.total)),
      ".",
    ),
  );
}
