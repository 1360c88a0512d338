// How items are shown: as rows to choose from, and as a list of recommendations with their explanations.

import { bar } from "./chart.js";
import { h, setChildren, setText, syncRows } from "./dom.js";
import { count, moment, number, SOURCES } from "./format.js";
import { weightsInWords } from "./orders.js";
import { learnTitles } from "./titles.js";
import { explain } from "./why.js";

let n_rows = 0; // numbers the rows: an id made of it clashes with no item's

function picture(item) {
  if (typeof item.image !== "string" || !/^(https:\/\/|\/(?!\/))/.test(item.image)) return null;
  return h("img", {
    class: "thumb",
    src: item.image,
    alt: "",
    loading: "lazy",
    referrerpolicy: "no-referrer",
    width: 40,
    height: 40,
    on: { error: (event) => event.target.remove() },
  });
}

export function facts(item) {
  return [
    item.category ? String(item.category) : null,
    Number.isFinite(item.price) ? `price ${item.price.toFixed(2)}` : null,
    item.available === false ? "not available" : null,
  ].filter(Boolean);
}

/** A row to choose an item. `go` is called when it is chosen, or is the address of a view. */
export function pick(item, go) {
  const inside = [
    picture(item),
    h(
      "span",
      { class: "pick-text" },
      h("span", { class: "name", title: item.title }, item.title || item.item_id),
      h("span", { class: "small" }, [item.title ? item.item_id : null, ...facts(item)].filter(Boolean).join(" · ")),
    ),
    item.sessions === undefined ? null : h("span", { class: "small end" }, count(item.sessions, "visit")),
  ];
  return h(
    "li",
    {},
    typeof go === "string"
      ? h("a", { class: "pick", href: go }, inside)
      : h("button", { type: "button", class: "pick", on: { click: () => go(item) } }, inside),
  );
}

/**
 * A list of recommendations; `show(answer)` replaces the one before. With `go(item)` titles are buttons, without it
 * links to the item's view. `seen()` returns the ids to mark as already seen.
 */
export function recommendations({ label, go, seen = () => new Set() }) {
  const list = h("ol", { class: "recs", "aria-label": label });
  const foot = h("p", { class: "help" });
  const node = h("div", {}, list, foot);

  function make(item) {
    const title = go
      ? h("button", { type: "button", class: "title", on: { click: () => go(item) } })
      : h("a", { class: "title", href: `#/items/${encodeURIComponent(item.item_id)}` });
    const inside = h("div", { class: "why", id: `why-${(n_rows += 1)}`, hidden: true });
    const more = h(
      "button",
      {
        type: "button",
        class: "choice ask-why",
        "aria-expanded": "false",
        "aria-controls": inside.id,
        on: { click: open },
      },
      "Why?",
      h("span", { class: "unseen" }, ` ${item.title || item.item_id}`),
    );
    const row = h(
      "li",
      {},
      h(
        "div",
        { class: "rec" },
        h("span", { class: "rank", "aria-hidden": "true" }),
        picture(item),
        h("div", { class: "rec-text" }, title, h("span", { class: "small" })),
        h("div", { class: "rec-score" }),
        more,
      ),
      inside,
    );

    function open() {
      inside.hidden = !inside.hidden;
      more.setAttribute("aria-expanded", String(!inside.hidden));
      if (!inside.hidden) setChildren(inside, explain(row.item));
    }
    row.parts = {
      title,
      small: row.querySelector(".small"),
      score: row.querySelector(".rec-score"),
      rank: row.querySelector(".rank"),
      inside,
    };
    return row;
  }

  function change(row, item) {
    const { title, small, score, rank, inside } = row.parts;
    const changed = JSON.stringify(row.item) !== JSON.stringify(item.answered);
    row.item = item.answered;
    setText(title, item.title || item.item_id);
    title.title = item.title ?? "";
    setText(rank, String(item.rank));
    setChildren(
      small,
      h("span", { class: `tag ${item.source}` }, SOURCES[item.source] ?? item.source),
      seen().has(item.item_id) ? h("span", { class: "tag" }, "already seen") : null,
      ` ${facts(item).join(" · ")}`,
    );
    setChildren(
      score,
      item.source === "newest" ? null : bar(item.share, { tone: item.source }), // times have no best one
      h("span", { class: "unseen" }, scoreOf(item)),
    );
    score.title = scoreOf(item);
    if (changed && !inside.hidden) setChildren(inside, explain(row.item));
  }

  return {
    node,
    show(answer) {
      learnTitles(answer.items);
      // The scores of fallbacks are counts, so a bar compares scores of the same kind only.
      const best = {};
      for (const item of answer.items) best[kindOf(item)] = Math.max(best[kindOf(item)] ?? -Infinity, item.score);
      syncRows(
        list,
        answer.items.map((item, i) => ({
          ...item,
          answered: item,
          rank: i + 1,
          share: compared(item, best[kindOf(item)]),
        })),
        (item) => item.item_id,
        make,
        change,
      );
      setText(
        foot,
        answer.items.length
          ? summary(answer)
          : "Nothing to recommend: there are no events yet, or rules exclude every item.",
      );
    },
  };
}

const isLearned = (item) => item.why?.kind === "learned";
const kindOf = (item) => (isLearned(item) ? "learned" : item.source);

/** An item's score beside the best of its kind. A learned one is a logarithm: it compares how likely the two are. */
const compared = (item, best) => (isLearned(item) ? Math.exp(item.score - best) : item.score / (best || 1));

/** A new item's score is the time at which it was listed. */
const scoreOf = (item) =>
  item.source === "newest" ? `listed on ${moment(item.score)}` : `score ${number(item.score)}`;

function summary(answer) {
  const of = (source) => answer.items.filter((item) => item.source === source).length;
  const n = of("neighbours");
  const all = answer.items.length;
  const model = answer.model ? ` Model: ${answer.model}.` : "";
  const fresh = of("newest");
  const others = fresh ? `, ${number(fresh)} ${fresh === 1 ? "is" : "are"} new in the catalogue` : "";
  if (answer.weights) {
    const own = of("session") ? `, ${number(of("session"))} from this visit itself` : "";
    return `${number(n)} of ${number(all)} come from similar visits${own}${others}.${model} In a learned order, by the ${weightsInWords(answer.weights)}: a bar says how likely an item is, compared with the first.`;
  }
  if (n === all) return `All ${number(all)} come from similar visits.${model}`;
  if (n + fresh === all && n) return `${number(n)} of ${number(all)} come from similar visits${others}.${model}`;
  if (n === 0) return `Similar visits gave no items, so these are fallbacks${others && `; ${others.slice(2)}`}.${model}`;
  return `${number(n)} of ${number(all)} come from similar visits${others}; fallbacks fill the list.${model}`;
}
