// The view of the items: search, one item, what goes with it.

import { answerAfter, at, get, inWords } from "./api.js";
import { announce, h, setChildren, setText, syncRows } from "./dom.js";
import { count } from "./format.js";
import { facts, pick, recommendations } from "./items.js";
import { learnTitles } from "./titles.js";
import { searching } from "./visit.js";

const address = (id) => `#/items/${encodeURIComponent(id)}`;

export function itemsView() {
  const list = document.getElementById("found");
  const title = document.getElementById("found-title");
  const node = document.getElementById("item");
  const input = document.getElementById("item-text");

  const search = searching(document.getElementById("item-form"), input, async (text, signal) => {
    try {
      const { items } = await get("/v1/items", { q: text, limit: 50 }, { signal });
      learnTitles(items);
      setText(title, text ? "Found" : "Popular now");
      syncRows(
        list,
        items,
        (item) => item.item_id,
        (item) => pick(item, address(item.item_id)),
      );
      if (!items.length)
        setChildren(list, h("li", { class: "quiet" }, text ? `No item has “${text}” in its title or id.` : "No items yet."));
      if (text) announce(items.length ? `${items.length} items found.` : "No item found.");
    } catch (error) {
      if (error.name !== "AbortError") setChildren(list, h("li", { class: "quiet" }, inWords(error, "search items")));
    }
  });

  async function open(id) {
    if (!id) {
      setChildren(
        node,
        h(
          "div",
          { class: "empty" },
          h("p", {}, "No item chosen."),
          h("p", { class: "help" }, "Choose one from the list to see what goes with it."),
        ),
      );
      return;
    }
    const problem = h("p", { class: "notice", hidden: true });
    const name = h("h2", {}, id);
    const about = h("p", { class: "help" });
    const recs = recommendations({ label: "What goes with this item" });
    setChildren(
      node,
      name,
      about,
      problem,
      h("p", {}, h("a", { class: "button", href: `#/try/${encodeURIComponent(id)}` }, "Open it as a visitor")),
      h("h3", {}, "What goes with it"),
      h("p", { class: "help" }, "Recommendations for a visitor who has looked at this item only."),
      recs.node,
    );
    if (matchMedia("(max-width: 60rem)").matches) node.scrollIntoView({ block: "start" });
    try {
      const item = await get(at("items", id));
      learnTitles([item]);
      setText(name, item.title || id);
      setText(about, [`Id ${id}`, ...facts(item), `in ${count(item.sessions, "retained visit")}`].join(" · "));
    } catch (error) {
      problem.hidden = false;
      setText(problem, error.status === 404 ? "This item is not known." : inWords(error, "show this item"));
      return;
    }
    try {
      recs.show(await answerAfter(id));
    } catch (error) {
      problem.hidden = false;
      setText(problem, inWords(error, "find what goes with it"));
    }
  }

  return {
    enter(id) {
      search();
      open(id);
    },
    leave() {},
  };
}
