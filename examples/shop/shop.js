// A shop with a list of products that asks stream-rec one thing: what next?

// The address of the service. To use another one: http://127.0.0.1:8001/?api=http://127.0.0.1:9000
const API = new URLSearchParams(location.search).get("api") ?? "http://127.0.0.1:8000";
const TIMEOUT_MS = 500;

const products = new Map();
let basket = 0;

// A tab is a visit. A shop with sessions of its own uses their ids.
function visit() {
  let id = sessionStorage.getItem("visit");
  if (!id) {
    id = `tab-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    sessionStorage.setItem("visit", id);
  }
  return id;
}

// ------------------------------------------------------------------------------------------ calls to the service

async function post(path, body) {
  const response = await fetch(`${API}${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    keepalive: true, // the call is completed even if the click leaves the page
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const content = await response.json();
  if (!response.ok) throw new Error(`${content.error.code}: ${content.error.message}`);
  return content;
}

/** The visitor views an item: send the event and get recommendations, in one round trip. */
async function viewed(id) {
  const event = { session_id: visit(), item_id: id, type: "view" };
  const answer = await post("/v1/events:recommend", { event, n: 5, exclude: [id] });
  return answer.items.map((item) => item.item_id);
}

/** The visitor puts an item into the basket: send the event. */
const putInBasket = (id) => post("/v1/events", { session_id: visit(), item_id: id, type: "cart" });

// ----------------------------------------------------------------------------------------------------------- the page

const el = (id) => document.getElementById(id);

function card(product) {
  const link = document.createElement("a");
  link.href = `#${encodeURIComponent(product.id)}`;
  const title = document.createElement("span");
  title.textContent = product.title;
  const price = document.createElement("span");
  price.className = "price";
  price.textContent = product.price.toFixed(2);
  link.append(title, price);
  const row = document.createElement("li");
  row.append(link);
  return row;
}

async function show() {
  const product = products.get(decodeURIComponent(location.hash.slice(1)));
  el("product").hidden = !product;
  if (!product) {
    el("next").hidden = true;
    return;
  }
  const [category, price] = el("product").querySelectorAll("p");
  category.textContent = product.category;
  price.textContent = product.price.toFixed(2);
  el("product").querySelector("h2").textContent = product.title;
  scrollTo(0, 0);
  try {
    const ids = await viewed(product.id);
    const known = ids.map((id) => products.get(id)).filter(Boolean);
    el("next")
      .querySelector("ul")
      .replaceChildren(...known.map(card));
    el("next").hidden = !known.length;
  } catch (error) {
    // The shop works without recommendations too.
    el("next").hidden = true;
    console.info(`no recommendations: ${error.message}`);
  }
}

el("product")
  .querySelector("button")
  .addEventListener("click", () => {
    basket += 1;
    el("basket").textContent = basket;
    putInBasket(decodeURIComponent(location.hash.slice(1))).catch((error) =>
      console.info(`event not sent: ${error.message}`),
    );
  });

el("leave").addEventListener("click", () => {
  sessionStorage.removeItem("visit");
  location.hash = "";
  location.reload();
});

const lines = (await (await fetch("products.jsonl")).text()).trim().split("\n");
for (const product of lines.map(JSON.parse)) products.set(product.id, product);
el("all").replaceChildren(...[...products.values()].map(card));
el("visit").textContent = visit();
addEventListener("hashchange", show);
show();
