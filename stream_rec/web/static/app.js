// Start: views by the address after #, the stream of figures, the connection's state, the key, light and dark.

import { follow, key, news } from "./api.js";
import { itemsView } from "./catalogue.js";
import { setText } from "./dom.js";
import { count, duration, percent } from "./format.js";
import { withNew } from "./history.js";
import { liveView } from "./live.js";
import { qualityView } from "./quality.js";
import { visitorsView } from "./visitors.js";
import { visitView } from "./visit.js";

const el = (id) => document.getElementById(id);

// ------------------------------------------------------------------------------------------------ figures

let stats = null;
let points = []; // of the last hour, oldest first
const showLive = liveView();
const showQuality = qualityView();
const idle = { enter() {}, leave() {} };
const unknown = { enter: (hash) => setText(el("unknown-address"), hash), leave() {} };
const views = { "": idle, unknown, quality: idle, visitors: visitorsView(), try: visitView(), items: itemsView() };
let view = null;

function onStats(received) {
  const isReadyNow = received.state === "ready" && stats !== null && stats.state !== "ready";
  stats = received;
  draw();
  const { version, uptime_s: uptime, pid } = received;
  setText(el("foot"), `stream-rec ${version}, up for ${duration(uptime * 1000)}, process ${pid}`);
  showState("live");
  if (isReadyNow) enter(); // repeats the requests that failed before
}

function onHistory(received) {
  points = withNew(points, received);
}

function draw() {
  if (!stats || document.hidden) return;
  if (view === "") showLive(stats, points);
  if (view === "quality") showQuality(stats, points);
}
document.addEventListener("visibilitychange", draw);

// --------------------------------------------------------------------------------------------- connection

const SHORT = {
  ready: "Ready",
  compiling: "Compiling",
  recovering: "Catching up",
  "waiting for the broker": "Waiting for the broker",
  stopping: "Stopping",
};
let until = 0;

function shareDone(doing) {
  return doing && doing.phase !== "ready" && doing.share !== null ? `, ${percent(doing.share, 0)}` : "";
}

function showState(is) {
  const pill = el("state");
  const text =
    is === "live"
      ? (SHORT[stats?.doing?.phase] ?? SHORT[stats?.state] ?? stats?.state ?? "Live") + shareDone(stats?.doing)
      : { connecting: "Connecting", lost: "No connection", key: "Key needed" }[is];
  setText(el("state-text"), text);
  pill.dataset.tone =
    is === "lost"
      ? "bad"
      : is === "key"
        ? "warm"
        : is === "live"
          ? stats?.state === "ready"
            ? "good"
            : "warm"
          : "quiet";
}

function onState(state) {
  if (state.is === "connecting" && until) return; // the banner stays until this try has succeeded or failed
  showState(state.is);
  document.body.classList.toggle("stale", state.is === "lost" || state.is === "key");
  const banner = el("banner");
  if (state.is === "lost") {
    const what = stats
      ? "The connection is lost. These are the last figures received."
      : "The service cannot be reached.";
    setText(el("banner-text"), `${what} (${state.why})`);
    until = state.until;
  } else {
    until = 0;
  }
  banner.hidden = state.is !== "lost";
  if (state.is === "key") askForKey(key.get() ? state.why : "");
}

const again = follow({ stats: onStats, history: onHistory }, onState);
el("banner-again").addEventListener("click", () => {
  again();
  el("main").focus();
});
setInterval(() => {
  if (until)
    setText(
      el("banner-count"),
      `Trying again in ${count(Math.max(0, Math.ceil((until - Date.now()) / 1000)), "second")}.`,
    );
}, 500);

// ---------------------------------------------------------------------------------------------------- key

const dialog = el("key-dialog");
let isKeyAsked = false; // by this service: where it asks for none, there is no button

function showKeyButton() {
  setText(el("key-button"), key.get() ? "Key ✓" : "Key");
  el("key-button").hidden = !isKeyAsked && !key.get();
}

function askForKey(why) {
  isKeyAsked = true;
  showKeyButton();
  el("key-why").hidden = !why;
  setText(el("key-why"), why ? `That key was not accepted: ${why}.` : "");
  el("key-text").value = key.get();
  if (!dialog.open) dialog.showModal();
  el("key-text").focus();
}

el("key-button").addEventListener("click", () => askForKey(""));
el("key-cancel").addEventListener("click", () => dialog.close());
el("key-clear").addEventListener("click", () => {
  key.set("");
  dialog.close();
});
el("key-form").addEventListener("submit", () => key.set(el("key-text").value.trim()));
news.addEventListener("key-changed", () => {
  showKeyButton();
  enter();
});
showKeyButton();

// -------------------------------------------------------------------------------------------------- theme

const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
const showTheme = () =>
  el("theme-button").setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
el("theme-button").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  try {
    localStorage.setItem("stream-rec.theme", document.documentElement.dataset.theme);
  } catch {
    // Storage is forbidden, so the choice ends with this page.
  }
  showTheme();
});
system.addEventListener("change", showTheme);
showTheme();

// ------------------------------------------------------------------------------------------------- routes

/** `#/visitors/a%2Fb` is the view `visitors` with `a/b`. */
function address() {
  const [name = "", rest = ""] = location.hash.replace(/^#\/?/, "").split(/\/(.*)/s);
  let id = rest;
  try {
    id = decodeURIComponent(rest);
  } catch {
    // Typed by hand, with a % that escapes nothing: use it unchanged.
  }
  return Object.hasOwn(views, name) && name !== "unknown" ? [name, id] : ["unknown", location.hash];
}

function enter() {
  const [name, id] = address();
  const isNew = view !== name;
  if (isNew && view !== null) views[view].leave();
  view = name;
  for (const section of document.querySelectorAll("main > [data-view]")) section.hidden = section.dataset.view !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = document.querySelector(`main > [data-view="${name}"] h1`).textContent;
  document.title = `${title} · stream-rec`;
  draw();
  views[name].enter(id);
  return isNew;
}

addEventListener("hashchange", () => {
  if (location.hash === "#main") return;
  if (enter()) {
    scrollTo(0, 0);
    el("main").focus({ preventScroll: true });
  }
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  el("main").focus();
});
enter();
