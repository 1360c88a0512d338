// Shows the OpenAPI document with Swagger UI, and lets a visitor try it: with the dashboard's key and theme.
import { key } from "./api.js";

const system = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const { theme } = document.documentElement.dataset;
  document.documentElement.classList.toggle("dark-mode", theme ? theme === "dark" : system.matches);
}

showTheme();
system.addEventListener("change", showTheme);

// Names for controls that Swagger UI leaves without one, and a place in the tab order for what scrolls.
const NAMES = [
  ["select.content-type", "Media type"],
  [".examples-select-element", "Example"],
  ["select", "Value"],
  ["textarea", "Body"],
];

function nameControls() {
  for (const [controls, name] of NAMES)
    for (const control of document.querySelectorAll(`${controls}:not([aria-label])`))
      control.setAttribute("aria-label", control.closest("tr")?.dataset.paramName ?? name);
  for (const text of document.querySelectorAll(".microlight:not([tabindex]), .curl:not([tabindex])"))
    text.tabIndex = 0;
}

new MutationObserver(nameControls).observe(document.querySelector("#viewer"), { childList: true, subtree: true });

const viewer = window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  displayOperationId: false,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  validatorUrl: null, // no other server gets to see the document
  onComplete: () => {
    if (key.get()) viewer.preauthorizeApiKey("key", key.get());
  },
});
