// Elements, made from data that nobody has vetted: text goes in as text, never as markup.
// Knows nothing of the service.

const SVG = "http://www.w3.org/2000/svg";

/** An element. Props: `class`, `on: {click}`, `hidden`, `value` and such as properties; all else as attributes. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for a drawing. */
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

/** Put the children in the place of what is there. */
export function put(node, ...children) {
  node.replaceChildren(...real(children));
}

/** Set a text only where it differs, so that nothing is laid out or read out for nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Keep the children of a list in step with rows: one node for each key, made once and changed after, so that focus,
 * selection and open details stay where they are.
 */
export function keep(list, rows, keyOf, make, change) {
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

/** Tell a screen reader: what somebody did has had this effect. Never for what changes by itself each second. */
export function tell(text) {
  const node = voice();
  node.textContent = "";
  requestAnimationFrame(() => {
    node.textContent = text;
  });
}
