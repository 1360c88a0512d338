// The service over HTTP: JSON in and out, the key, and the stream of figures. Knows nothing of the page.

const PLACE = "stream-rec.key";
const SILENCE_MS = 15_000; // the stream sends each second: after this silence it is dead, even if a proxy keeps it open
const LONGEST_WAIT_MS = 30_000;

/** Events: `key`, when a call needs a key; `key-changed`, when the key was set or removed. */
export const news = new EventTarget();

export class ApiError extends Error {
  constructor(status, code, message, field) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

export const key = {
  get: () => sessionStorage.getItem(PLACE) ?? "",
  set(text) {
    if (text) sessionStorage.setItem(PLACE, text);
    else sessionStorage.removeItem(PLACE);
    news.dispatchEvent(new Event("key-changed"));
  },
};

/** The message for an error of `call`. */
export function inWords(error, doing) {
  if (error.status === 401) return `To ${doing}, you need a key. Use “Key” at the top.`;
  if (error.status === 403) return `Your key may not ${doing}. (${error.message})`;
  if (error.status === 0) return `Could not ${doing}: the service does not answer.`;
  if (error.status === 429 || error.status === 503)
    return `Could not ${doing} just now: ${error.message}. Try again soon.`;
  return `Could not ${doing}: ${error.message}`;
}

function headers(more) {
  const text = key.get();
  return text ? { ...more, Authorization: `Bearer ${text}` } : { ...more };
}

async function failure(response) {
  let problem = {};
  try {
    problem = (await response.json()).error ?? {};
  } catch {
    // Not an answer of the service, but a proxy's page for example: only its status is known.
  }
  if (response.status === 401) news.dispatchEvent(new Event("key"));
  return new ApiError(response.status, problem.code ?? "", problem.message ?? `HTTP ${response.status}`, problem.field);
}

export async function call(method, path, body, { signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      cache: "no-store",
      headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "the service does not answer");
  }
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

export const get = (path, query = {}, options) => {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined)).toString();
  return call("GET", search ? `${path}?${search}` : path, undefined, options);
};

export const at = (...parts) => `/v1/${parts.map(encodeURIComponent).join("/")}`;

const SHOWN = 10; // recommendations in a list

/** The parameters of every request for recommendations: with titles and explanations. */
export const IN_FULL = { n: SHOWN, explain: true, details: true };

export const answerFor = (sessionId) => get(at("sessions", sessionId, "recommendations"), IN_FULL);

export const answerAfter = (itemId) =>
  call("POST", "/v1/recommendations?details=true", { items: [itemId], n: SHOWN, explain: true });

export const answerOnce = (event) => call("POST", "/v1/events:recommend", { event, ...IN_FULL });

// ------------------------------------------------------------------------------------------------- stream

/** Yields the blocks of server-sent events in a body, as `[name, data]`. */
export async function* blocks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value.replaceAll("\r", "");
      const whole = rest.split("\n\n");
      rest = whole.pop();
      for (const block of whole) {
        let name = "message";
        const data = [];
        for (const line of block.split("\n")) {
          if (line.startsWith("event:")) name = line.slice(6).trim();
          else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        }
        if (data.length) yield [name, data.join("\n")];
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Follow /v1/stream for ever. Calls `onBlock.stats` and `onBlock.history` with what they brought, and `onState(state)`
 * with `{is: "connecting" | "live" | "key"}` or `{is: "lost", until, why}`.
 * Waits 1, 2, 4 ... 30 seconds between tries, varied a little, so that a thousand pages do not come back at the same
 * moment. Returns a function that tries at once.
 */
export function follow(onBlock, onState) {
  let wake = () => {};
  let attempt = 0;
  const again = () => {
    attempt = 0;
    wake();
  };

  async function once() {
    const abort = new AbortController();
    let silent = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await fetch("/v1/stream", {
        headers: headers({ Accept: "text/event-stream" }),
        signal: abort.signal,
        cache: "no-store",
      });
      if (!response.ok) throw await failure(response);
      for await (const [name, data] of blocks(response.body)) {
        clearTimeout(silent);
        silent = setTimeout(() => abort.abort(), SILENCE_MS);
        if (!Object.hasOwn(onBlock, name)) continue;
        attempt = 0;
        onState({ is: "live" });
        onBlock[name](JSON.parse(data));
      }
      throw new ApiError(0, "ended", "the service ended the stream");
    } finally {
      clearTimeout(silent);
      abort.abort();
    }
  }

  async function forever() {
    for (;;) {
      onState({ is: "connecting" });
      let wait;
      try {
        await once();
      } catch (error) {
        if (error.status === 401 || error.status === 403) {
          onState({ is: "key", why: error.message });
          await new Promise((resolve) => {
            wake = resolve;
          });
          continue;
        }
        wait = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** attempt) * (0.8 + 0.4 * Math.random());
        attempt += 1;
        onState({ is: "lost", until: Date.now() + wait, why: error.status ? error.message : "no connection" });
      }
      await Promise.race([
        new Promise((resolve) => {
          wake = resolve;
        }),
        new Promise((resolve) => {
          setTimeout(resolve, wait);
        }),
      ]);
    }
  }

  addEventListener("online", again);
  news.addEventListener("key-changed", again);
  forever();
  return again;
}
