// Sets the last chosen theme. Runs before the page is drawn, so that a dark page does not flash white.
"use strict";
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("stream-rec.theme");
  } catch {
    // No storage, as in a private window: the system's theme applies.
  }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
