// The view in which you are a visitor: open items, see how the recommendations change, be forgotten.

import { answerFor, answerOnce, at, call, get, inWords } from "./api.js";
import { announce, h, setChildren, setText, syncRows } from "./dom.js";
import { pick, recommendations } from "./items.js";
import { itemName, learnTitles, titleOf } from "./titles.js";

const PLACE = "stream-rec.visit";
const PAUSE_MS = 200;

function newId() {
  const random = crypto.getRandomValues(new Uint32Array(2));
  return `you-${random[0].toString(36)}${random[1].toString(36)}`;
}

/** Search while typing: calls `act(text, signal)` after a pause, and aborts the call before it. */
export function searching(form, input, act) {
  let timer = 0;
  let abort = new AbortController();
  const go = () => {
    clearTimeout(timer);
    abort.abort();
    abort = new AbortController();
    act(input.value.trim(), abort.signal);
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(go, PAUSE_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
  return go;
}

export function visitView() {
  const problem = document.getElementById("try-problem");
  const picks = document.getElementById("picks");
  const trail = document.getElementById("trail");
  const mine = document.getElementById("my-id");
  let id = sessionStorage.getItem(PLACE);
  let isNew = id === null; // the service knows nothing of it, and need not be asked
  id ??= newId();
  let events = [];
  let turn = 0; // counts the clicks: only the answer to the newest one is shown
  const recs = recommendations({
    label: "Recommended to you",
    go: view,
    seen: () => new Set(events.map((event) => event.item_id)),
  });
  setChildren(document.getElementById("suggestions"), recs.node);

  function showProblem(text) {
    problem.hidden = !text;
    setText(problem, text);
  }

  /** Shown only if it lasts: see style.css. */
  const busy = (isBusy) => document.getElementById("suggestions").setAttribute("aria-busy", String(isBusy));

  function rename(name) {
    id = name;
    setText(mine, id);
    mine.href = `#/visitors/${encodeURIComponent(id)}`;
  }

  function showTrail() {
    setChildren(
      trail,
      events.length
        ? [...events].reverse().map((event) => h("li", {}, itemName(event.item_id)))
        : h("li", { class: "quiet" }, "Nothing yet: open an item of the list."),
    );
    document.getElementById("forget-me").disabled = !events.length;
  }

  async function view(item) {
    learnTitles([item]);
    const mineNow = (turn += 1);
    busy(true);
    const event = { session_id: id, item_id: item.item_id, type: "view" }; // without a time: the service adds its own
    try {
      const answer = await answerOnce(event);
      isNew = false;
      sessionStorage.setItem(PLACE, event.session_id);
      events.push(item);
      showTrail();
      if (mineNow !== turn) return;
      showProblem("");
      recs.show(answer);
      const best = answer.items[0];
      announce(
        `Opened ${titleOf(item.item_id)}. ${answer.items.length} recommendations${best ? `, the first is ${titleOf(best.item_id)}` : ""}.`,
      );
    } catch (error) {
      showProblem(refusal(error));
    } finally {
      if (mineNow === turn) busy(false);
    }
  }

  function refusal(error) {
    if (error.status === 403)
      return `Your key may read but not write, so you cannot be a visitor with it. Use a key with the scope “write” (“Key” at the top). (${error.message})`;
    if (error.status === 0 || error.status === 401 || error.status >= 500 || error.status === 429)
      return inWords(error, "send this click");
    return `The service rejected this click: ${error.message}.`;
  }

  async function forget() {
    try {
      const receipt = await call("DELETE", at("sessions", id));
      events = [];
      sessionStorage.removeItem(PLACE);
      isNew = true;
      rename(newId());
      showTrail();
      showProblem("");
      recs.show(await answerFor(id));
      announce(`Forgotten${receipt?.receipt ? `, receipt ${receipt.receipt}` : ""}. You are a new visitor now.`);
    } catch (error) {
      showProblem(
        error.status === 403
          ? `Your key may not forget visits: it needs the scope “admin”. (${error.message})`
          : inWords(error, "forget you"),
      );
    }
  }
  document.getElementById("forget-me").addEventListener("click", forget);

  const input = document.getElementById("pick-text");
  const search = searching(document.getElementById("pick-form"), input, async (text, signal) => {
    try {
      const { items } = await get("/v1/items", { q: text, limit: 20 }, { signal });
      learnTitles(items);
      syncRows(
        picks,
        items,
        (item) => item.item_id,
        (item) => pick(item, view),
      );
      if (!items.length)
        setChildren(picks, h("li", { class: "quiet" }, text ? `No item has “${text}” in its title or id.` : "No items yet."));
      if (text) announce(items.length ? `${items.length} items found.` : "No item found.");
    } catch (error) {
      if (error.name !== "AbortError") setChildren(picks, h("li", { class: "quiet" }, inWords(error, "search items")));
    }
  });

  async function enter(item) {
    search();
    showProblem("");
    const mineNow = (turn += 1); // a click during these requests is newer, and counts
    const isStill = () => mineNow === turn;
    try {
      const known = isNew ? [] : (await get(at("sessions", id))).events;
      learnTitles(known);
      if (isStill()) events = known;
    } catch (error) {
      if (error.status !== 404) showProblem(inWords(error, "look up your visit"));
      else if (isStill()) events = [];
    }
    showTrail();
    if (item) {
      history.replaceState(null, "", "#/try");
      await view({ item_id: item });
      return;
    }
    try {
      const answer = await answerFor(id);
      if (isStill()) recs.show(answer);
    } catch (error) {
      showProblem(inWords(error, "ask for recommendations"));
    }
  }

  rename(id);
  showTrail();
  return { enter, leave() {} };
}
