// What became of the items that pages said they showed: a card of the view of quality.

import { bar } from "./chart.js";
import { h, setChildren, setText, syncRows } from "./dom.js";
import { number, percent } from "./format.js";

const PARTS = { model: () => "all", place: (value) => `place ${value}`, source: (value) => `from ${value}` };

/** A card that `show`s the click-through rates of a window; hidden while nothing was shown. */
export function shownCard() {
  const list = h("ul", { class: "models" });
  const node = h(
    "article",
    { class: "tile wide" },
    h("h2", {}, "Clicked of what was shown"),
    h("p", { class: "help" }, "Click-through rate: of the items that pages said they showed, the share that was clicked later."),
    list,
  );
  function show(window) {
    const parts = window?.shown ?? [];
    node.hidden = !parts.length;
    syncRows(
      list,
      parts,
      (each) => JSON.stringify([each.model, each.by, each.value]),
      (each) =>
        h(
          "li",
          {},
          h(
            "div",
            { class: "model" },
            h("span", { class: "name" }, each.model),
            " ",
            h("span", { class: "small" }, PARTS[each.by](each.value)),
            h("span", { class: "value" }),
          ),
          h("div", { class: "model-bar" }),
          h("div", { class: "small" }),
        ),
      (row, each) => {
        setText(row.querySelector(".value"), each.ctr === null ? "–" : percent(each.ctr));
        setChildren(row.children[1], bar(each.ctr, { low: each.ctr_low, high: each.ctr_high, tone: "" }));
        setText(row.children[2], `${number(each.clicked)} of ${number(each.shown)}`);
      },
    );
  }
  return { node, show };
}
