// The view of the visits: the most recent ones, and one of them with its events and recommendations.

import { answerFor, at, get, inWords } from "./api.js";
import { announce, h, setChildren, setText, syncRows } from "./dom.js";
import { ago, count, moment, TYPES } from "./format.js";
import { recommendations } from "./items.js";
import { itemName, learnTitles } from "./titles.js";

const EVERY_MS = 4000;

export function visitorsView() {
  const form = document.getElementById("visitor-form");
  const input = document.getElementById("visitor-id");
  const list = document.getElementById("recent");
  const help = document.getElementById("recent-help");
  const node = document.getElementById("visitor");
  let shown = null; // the visit that is shown on the right
  let isOpen = false;
  let newest = null;
  const HELP = help.textContent;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const id = input.value.trim();
    if (id) location.hash = `#/visitors/${encodeURIComponent(id)}`;
  });

  async function recent() {
    if (list.matches(":hover") || list.contains(document.activeElement)) return;
    try {
      const { sessions } = await get("/v1/sessions", { limit: 50 });
      newest = Math.max(newest ?? 0, ...sessions.map((each) => each.last_ms));
      syncRows(list, sessions, (each) => each.session_id, row, change);
      setText(help, sessions.length ? HELP : "No visits yet. They are listed here as soon as events arrive.");
    } catch (error) {
      setText(help, inWords(error, "list the visits"));
    }
  }

  function row(each) {
    return h(
      "li",
      {},
      h(
        "a",
        { class: "pick", href: `#/visitors/${encodeURIComponent(each.session_id)}` },
        h(
          "span",
          { class: "pick-text" },
          h("span", { class: "id" }, each.session_id),
          h("span", { class: "small last" }),
        ),
        h("span", { class: "small end" }, h("span"), h("br"), h("span")),
      ),
    );
  }

  function change(item, each) {
    const link = item.firstChild;
    if (shown?.id === each.session_id) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    const id = each.items.at(-1);
    if (item.lastItem !== id) setChildren(link.querySelector(".last"), id === undefined ? "" : itemName(id));
    item.lastItem = id;
    setText(link.lastChild.firstChild, count(each.n_events, "event"));
    setText(link.lastChild.lastChild, ago(each.last_ms, newest));
  }

  function open(id) {
    if (!id) {
      shown = null;
      setChildren(
        node,
        h(
          "div",
          { class: "empty" },
          h("p", {}, "No visit chosen."),
          h("p", { class: "help" }, "Choose one from the list, or type the id of a session that you know."),
        ),
      );
      return;
    }
    if (shown?.id === id) return;
    shown = visit(id);
    input.value = id;
    setChildren(node, shown.node);
    shown.refresh().then(() => announce(`Visit ${id} is shown.`));
    if (matchMedia("(max-width: 60rem)").matches) node.scrollIntoView({ block: "start" });
    for (const item of list.children) {
      if (item.rowKey === id) item.firstChild.setAttribute("aria-current", "true");
      else item.firstChild.removeAttribute("aria-current");
    }
  }

  function beat() {
    if (!isOpen || document.hidden) return;
    recent();
    shown?.refresh();
  }
  setInterval(beat, EVERY_MS);

  return {
    enter(id) {
      isOpen = true;
      recent();
      open(id);
    },
    leave() {
      isOpen = false;
    },
  };
}

/** One visit: `node`, and `refresh()`, which fetches recommendations again only if there are new events. */
function visit(id) {
  const facts = h("p", { class: "help" });
  const problem = h("p", { class: "notice", hidden: true });
  const events = h("ol", { class: "trail", tabindex: 0, "aria-label": "What it looked at" }); // keys scroll it
  const seen = new Set();
  const recs = recommendations({ label: "Recommendations for this visit", seen: () => seen });
  let known = null;

  function showProblem(text) {
    problem.hidden = !text;
    setText(problem, text);
  }

  async function refresh() {
    try {
      const session = await get(at("sessions", id));
      learnTitles(session.events);
      const version = `${session.events.length} ${session.events.at(-1)?.timestamp}`;
      if (version === known) return;
      seen.clear();
      for (const event of session.events) seen.add(event.item_id);
      show(session);
      recs.show(await answerFor(id));
      known = version;
      showProblem("");
    } catch (error) {
      if (error.status !== 404) {
        showProblem(inWords(error, "show this visit"));
        return;
      }
      if (known === "none") return;
      showProblem(
        "No visit with this id is retained: the id may be misspelt, the visit may be older than the horizon, or it was forgotten. A new visitor would get these recommendations:",
      );
      setChildren(events, h("li", { class: "quiet" }, "No events of this visit are retained."));
      seen.clear();
      setText(facts, "");
      try {
        recs.show(await answerFor(id));
        known = "none";
      } catch (again) {
        showProblem(inWords(again, "show this visit"));
      }
    }
  }

  function show(session) {
    const all = session.events;
    const user = session.user_id ? `User ${session.user_id}. ` : "";
    const [first, last] = [all[0], all.at(-1)].map((event) => moment(event?.timestamp));
    const from = first === last ? `At ${first}.` : `From ${first} to ${last}.`;
    setText(facts, `${user}${count(all.length, "event")}. ${all.length ? from : ""}`);
    setChildren(
      events,
      [...all]
        .reverse()
        .map((event) =>
          h(
            "li",
            {},
            itemName(event.item_id),
            " ",
            h("span", { class: "small" }, `${TYPES[event.type] ?? event.type}, ${moment(event.timestamp)}`),
          ),
        ),
    );
  }

  const node = h(
    "div",
    {},
    h("h2", { class: "visit-name" }, "Visit ", h("span", { class: "id" }, id)),
    facts,
    problem,
    h(
      "div",
      { class: "pair" },
      h(
        "div",
        {},
        h("h3", {}, "Recommended now"),
        h(
          "p",
          { class: "help" },
          "Best first. The bar compares the score with the best one of its source; “Why?” explains it.",
        ),
        recs.node,
      ),
      h(
        "div",
        {},
        h("h3", {}, "What it looked at"),
        h("p", { class: "help" }, "Newest first: the last ones count most."),
        events,
      ),
    ),
  );
  return { id, node, refresh };
}
