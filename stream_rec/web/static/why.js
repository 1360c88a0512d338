// Why an item is recommended, in words and bars: the visits it comes from, the items they share, and each factor.

import { bars } from "./chart.js";
import { h } from "./dom.js";
import { count, duration, number, percent } from "./format.js";
import { itemName } from "./titles.js";

const SHOWN = 5;
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

const REST = ""; // the shared items that are not listed one by one

/** How much of the score each item of the visit adds: a neighbour's share is divided among shared items, by weight. */
export function byShared(why) {
  const parts = new Map();
  for (const each of why.neighbours) {
    const shared = [
      ...each.shared,
      ...(each.shared_others ? [{ item_id: REST, weight: each.shared_others.weight }] : []),
    ];
    const weights = shared.reduce((sum, one) => sum + one.weight, 0);
    for (const one of shared) {
      const part = weights > 0 ? one.weight / weights : 1 / shared.length;
      parts.set(one.item_id, (parts.get(one.item_id) ?? 0) + each.share * part);
    }
  }
  return [...parts].sort((a, b) => b[1] - a[1]);
}

function neighbours(item, why) {
  const total = why.total || item.score || 1;
  const n = why.neighbours.length + (why.others?.neighbours ?? 0);
  const part = (name, share, tone) => ({ name, share: share / total, value: percent(share / total, 0), tone });
  const shares = byShared(why);
  const rest = shares.slice(SHOWN).reduce((sum, [, share]) => sum + share, 0);
  const others = why.others?.share ?? 0;
  const rows = [
    ...shares.slice(0, SHOWN).map(([id, share]) => part(id === REST ? "other items" : itemName(id), share)),
    ...(why.rules ? [part(h("span", {}, "often follows ", itemName(why.rules.after)), why.rules.share, "followed")] : []),
  ].sort((a, b) => b.share - a.share);
  if (rest > 0) rows.push(part("other items in common", rest, "quiet"));
  if (others > 0) rows.push(part(`${why.others.neighbours} more visits, not listed`, others, "quiet"));
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
    bars(rows, "How much of the score each shared item adds"),
    n
      ? [
          h("h3", {}, "The visits it comes from"),
          h("p", { class: "help" }, "The bar is each visit’s part of the score."),
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
    share: each.share / total,
    value: percent(each.share / total, 0),
  });
  const sorted = [...why.neighbours].sort((a, b) => b.share - a.share);
  const rest = sorted.slice(SHOWN).map(row);
  if (why.others)
    rest.push({
      name: `${count(why.others.neighbours, "more visit")} together`,
      share: why.others.share / total,
      value: percent(why.others.share / total, 0),
      tone: "quiet",
    });
  const more = sorted.length - Math.min(SHOWN, sorted.length) + (why.others?.neighbours ?? 0);
  return [
    bars(sorted.slice(0, SHOWN).map(row), "The visits that add most"),
    rest.length
      ? h("details", { class: "more" }, h("summary", {}, `${number(more)} more`), bars(rest, "The other visits"))
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
  const best = [...why.neighbours].sort((a, b) => b.share - a.share)[0];
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
