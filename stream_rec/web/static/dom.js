// Elements made from data that is not trusted: text is inserted as text, never as markup.
// Knows nothing of the service.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on: {click}` adds listeners; props in AS_PROPERTY are set as properties, others as attributes. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same, in an SVG drawing. */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

const AS_PROPERTY = new Set(["value", "checked", "hidden", "disabled", "open", "htmlFor", "textContent"]);

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    } else if (AS_PROPERTY.has(name)) {
      node[name] = value;
    } else {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...real(children));
  return node;
}

const real = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

/** Replace the children of `node`. */
export function setChildren(node, ...children) {
  node.replaceChildren(...real(children));
}

/** Set a text only if it differs, so that nothing is laid out or read out without need. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Make the children of a list match rows: one node for each key, made once and changed later, so that focus, selection
 * and open details stay where they are.
 */
export function syncRows(list, rows, keyOf, make, change) {
  const there = new Map([...list.children].map((node) => [node.rowKey, node]));
  let before = null;
  for (const row of rows) {
    const key = keyOf(row);
    let node = there.get(key);
    if (node) {
      there.delete(key);
    } else {
      node = make(row);
      node.rowKey = key;
    }
    if (change) change(node, row);
    const place = before ? before.nextSibling : list.firstChild;
    if (place !== node) list.insertBefore(node, place);
    before = node;
  }
  for (const node of there.values()) node.remove();
}

const voice = () => document.getElementById("voice");

/** Announce the effect of an action to a screen reader. Never for what changes by itself each second. */
export function announce(text) {
  const node = voice();
  node.textContent = "";
  requestAnimationFrame(() => {
    node.textContent = text;
  });
}
