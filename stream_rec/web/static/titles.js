// Titles of items by id: learned from answers, and fetched for items that are shown without one.

import { at, get } from "./api.js";
import { h, setText } from "./dom.js";

const MOST = 5000; // a page that stays open for days must not keep the titles of a whole catalogue
const AT_ONCE = 4;
const titles = new Map(); // id -> title, or null where there is none
const waiting = new Map(); // id -> spans that show the id until its title is known
const queue = [];
let n_fetching = 0;

/** Note the titles that came with an answer. */
export function learnTitles(items) {
  for (const item of items) {
    if (item.title) remember(item.item_id, item.title);
    // An item with all its fields, and no title among them, has none.
    else if (item.sessions !== undefined && !titles.has(item.item_id)) remember(item.item_id, null);
  }
}

function remember(id, title) {
  if (titles.size >= MOST) titles.delete(titles.keys().next().value);
  titles.set(id, title);
  for (const span of waiting.get(id) ?? []) show(span, id);
  waiting.delete(id);
}

function show(span, id) {
  const title = titles.get(id);
  setText(span, title || id);
  span.classList.toggle("id", !title);
  if (title) span.title = `${title} (${id})`;
}

/** A span with the item's title. If the title is not known yet, the span shows the id while the title is fetched. */
export function itemName(id) {
  const span = h("span", { class: "name" });
  show(span, id);
  if (!titles.has(id)) {
    if (waiting.has(id)) waiting.get(id).push(span);
    else {
      waiting.set(id, [span]);
      queue.push(id);
      fetchNext();
    }
  }
  return span;
}

export const titleOf = (id) => titles.get(id) || id;

async function fetchNext() {
  if (n_fetching >= AT_ONCE || !queue.length) return;
  const id = queue.shift();
  n_fetching += 1;
  try {
    remember(id, (await get(at("items", id))).title ?? null);
  } catch (error) {
    if (error.status === 404) remember(id, null);
    else waiting.delete(id); // fetched again when it is next shown
  } finally {
    n_fetching -= 1;
    fetchNext();
  }
}
