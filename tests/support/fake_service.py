"""A fake service with the HTTP API, to show pages in states in which a real service seldom is.

Lost connections, keys without a scope, hostile titles, full memory: each is an attribute to set. Neighbours are found
by a plain VMIS-kNN, so that explanations add up. Uses of the package only its bundled sample.
"""

import contextlib
import json
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import fake_orders

from stream_rec import __version__
from stream_rec.core.events import Event
from stream_rec.datasets.sample import load_sample

Json = Any

TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
DAY_MS: Final = 86_400_000
POINTS: Final = 720
STEP_S: Final = 5.0
LISTED: Final = 10


@cache
def _sample() -> tuple[list[Event], dict[str, str]]:
    return load_sample(longest=30)


class RefusedError(Exception):
    """An error to answer with: status, code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class FakeService:
    """The state, and the answer of each path. Attributes may be set at any time."""

    def __init__(self, *, visits: int = 400, seed: int = 7) -> None:
        events, titles = _sample()
        self.sessions: dict[str, list[dict[str, Json]]] = {}
        self.titles = dict(titles)
        """By item."""
        for event in reversed(events):
            if event.session_id not in self.sessions and len(self.sessions) == visits:
                break
            self.sessions.setdefault(event.session_id, []).insert(
                0, {"item_id": event.item_id, "timestamp": event.timestamp, "type": event.type}
            )
        self.sessions = dict(reversed(self.sessions.items()))
        self.keys: dict[str, set[str]] | None = None
        """Scopes by key; None: no keys are needed."""
        self.stream_is_down = False
        self.events_are_refused = False
        self.stats_change: dict[str, Json] = {}
        """Replaces fields of the figures."""
        self.weights: str | None = None
        """Answers are in the learned order of these weights."""
        self.posted: list[Json] = []
        self.chance = random.Random(seed)
        self.started = time.monotonic()
        self.tick = 0

    # ------------------------------------------------------------------------------------ items and sessions

    @property
    def watermark(self) -> int:
        """The newest event's time."""
        return max((events[-1]["timestamp"] for events in self.sessions.values()), default=0)

    def counts(self) -> Counter[str]:
        """Sessions by item."""
        return Counter(item for events in self.sessions.values() for item in {e["item_id"] for e in events})

    def item(self, item_id: str, counts: Counter[str] | None = None) -> Json:
        """Return one item as /v1/items does."""
        counts = counts or self.counts()
        if item_id not in self.titles and item_id not in counts:
            raise RefusedError(404, "not_found", f"no item {item_id!r}")
        price = round(0.5 + (sum(map(ord, item_id)) % 90) / 7, 2)
        found = {"item_id": item_id, "available": True, "sessions": counts[item_id]}
        return found | ({"title": self.titles[item_id], "price": price} if item_id in self.titles else {})

    def items(self, query: str, limit: int) -> Json:
        """Return the most frequent items whose id or title contains the text."""
        text, counts = query.lower(), self.counts()
        known = sorted({*self.titles, *counts}, key=lambda item: (-counts[item], item))
        found = [item for item in known if text in item.lower() or text in self.titles.get(item, "").lower()]
        return {"items": [self.item(item, counts) for item in found[:limit]]}

    def recent(self, limit: int) -> Json:
        """Return sessions, newest first."""
        newest = sorted(self.sessions.items(), key=lambda pair: -pair[1][-1]["timestamp"])[:limit]
        return {
            "sessions": [
                {
                    "session_id": name,
                    "last_ms": events[-1]["timestamp"],
                    "n_events": len(events),
                    "items": [event["item_id"] for event in events[-3:]],
                }
                for name, events in newest
            ]
        }

    def session(self, session_id: str) -> Json:
        """Return one session with its events."""
        if session_id not in self.sessions:
            raise RefusedError(404, "not_found", f"session {session_id!r} is not retained")
        events = [
            event | ({"title": self.titles[event["item_id"]]} if event["item_id"] in self.titles else {})
            for event in self.sessions[session_id]
        ]
        return {"session_id": session_id, "model": "vmis-knn", "events": events}

    def forget(self, session_id: str) -> Json:
        """Erase one session."""
        known = self.sessions.pop(session_id, None)
        return {
            "receipt": "f-1",
            "session_id": session_id,
            "sessions": int(known is not None),
            "durable": False,
            "offsets": {},
        }

    def apply(self, event: Json) -> None:
        """Apply one event."""
        if self.events_are_refused:
            raise RefusedError(409, "read_only", "this service takes no events over HTTP")
        self.posted.append(event)
        event = {"timestamp": self.watermark + 1000, "type": "view"} | event
        self.sessions.setdefault(event["session_id"], []).append(
            {name: event[name] for name in ("item_id", "timestamp", "type")}
        )

    # --------------------------------------------------------------------------------------------- answers

    def answer(self, session_id: str | None, items: list[str], n: int, *, seen: str = "keep") -> Json:
        """Return the items of a plain VMIS-kNN, then popular ones, always with explanations and details."""
        query = list(dict.fromkeys(reversed(items)))[:10]  # the newest first
        counts = self.counts()
        weight = {item: (len(query) - place) / len(query) for place, item in enumerate(query)}
        similar = []
        for name, events in self.sessions.items():
            held = [event["item_id"] for event in events]
            shared = [item for item in query if item in held]
            if name != session_id and shared:
                similar.append((sum(weight[item] for item in shared), events[-1]["timestamp"], name, held, shared))
        similar = sorted(similar, reverse=True)[:50]
        whys: dict[str, list[Json]] = {}
        for similarity, last_ms, name, held, shared in similar:
            step = query.index(shared[0]) + 1
            match = max(0.0, 1 - 0.1 * step)
            for item in dict.fromkeys(held):
                idf = max(math.log(len(self.sessions) / counts[item]), 1.0)
                whys.setdefault(item, []).append(
                    {
                        "session_id": name,
                        "age_ms": self.watermark - last_ms,
                        "similarity": similarity,
                        "shared": [
                            {"item_id": each, "position": len(query) - query.index(each), "weight": weight[each]}
                            for each in shared
                        ],
                        "normalise": 1.0,
                        "age": 1.0,
                        "step": step,
                        "match": match,
                        "place": 1.0,
                        "direction": 1.0,
                        "distance": abs(held.index(item) - held.index(shared[0])),
                        "share": similarity * match * idf,
                        "idf": idf,
                    }
                )
        left_out = set(items) if seen == "drop-session" else set()
        scored = sorted(
            ((sum(each["share"] for each in why), item) for item, why in whys.items() if item not in left_out),
            reverse=True,
        )[:n]
        found = []
        for score, item in scored:
            neighbours = sorted(whys[item], key=lambda each: -each["share"])
            idf = neighbours[0]["idf"]
            why = {"kind": "neighbours", "total": score, "idf": idf} | _explained(neighbours)
            found.append(self.item(item, counts) | {"score": score, "source": "neighbours", "why": why})
        for item, count in counts.most_common(n + len(items)):
            if len(found) < n and item not in whys and item not in left_out:
                why = {"kind": "popular", "count": float(count), "half_life_ms": DAY_MS}
                found.append(self.item(item, counts) | {"score": float(count), "source": "popular", "why": why})
        for each in found:
            del each["sessions"]
        answer = {
            "session_id": session_id,
            "request_id": None,
            "items": found,
            "as_of": self.watermark,
            "offsets": {"clicks-0": 12345 + self.tick},
            "model": "vmis-knn",
        }
        return answer if self.weights is None else fake_orders.in_order(answer, self.weights)

    # ---------------------------------------------------------------------------------------------- figures

    def stats(self) -> Json:
        """Return the present figures. They vary, as those of a shop do."""
        self.tick += 1
        chance, tick = self.chance, self.tick
        wave = 1 + 0.35 * math.sin(tick / 11) + chance.uniform(-0.12, 0.12)
        n_events = sum(map(len, self.sessions.values()))
        figures = {
            "state": "ready",
            "at_ms": int(time.time() * 1000),
            "version": __version__,
            "uptime_s": time.monotonic() - self.started + 4210,
            "pid": 4711,
            "durable": True,
            "counts": {
                "read": 182_004 + 120 * tick,
                "applied": 181_960 + 120 * tick,
                "forgets": 3,
                "duplicates": 18,
                "answers": 90_210 + 60 * tick,
                "requests": 1_204 + tick,
                "expired": 0,
                "followed": 74_020,
            },
            "rates": {
                "events_per_s": round(120 * wave, 1),
                "answers_per_s": round(61 * wave, 1),
                "http_per_s": round(14 * wave, 1),
            },
            "latency_ms": {
                "apply": {"p50": 0.04 * wave, "p90": 0.07 * wave, "p99": 0.4 * wave},
                "answer": {"p50": 0.09 * wave, "p90": 0.16 * wave, "p99": 0.7 * wave},
                "commit": {"p50": 9.0 * wave, "p90": 14.0 * wave, "p99": 31.0 * wave},
                "http": {"p50": 1.1 * wave, "p90": 2.2 * wave, "p99": 6.4 * wave},
                "end_to_end": {"p50": 21.0 * wave, "p90": 44.0 * wave, "p99": 120.0 * wave},
            },
            "retained": {
                "sessions": len(self.sessions),
                "events": n_events,
                "items": len(self.counts()),
                "bytes": int(61e6 + 2e5 * tick),
                "max_bytes": 128_000_000,
                "evicted": 48_211,
                "watermark": self.watermark,
                "horizon_ms": 29 * DAY_MS,
            },
            "lag": {"clicks-0": int(max(0, 14 * wave)), "clicks-1": 0, "clicks-2": 3},
            "owned": ["clicks-0", "clicks-1", "clicks-2"],
            "generation": 4,
            "snapshot": {"name": "snapshot-000042", "age_s": 37.0 + tick % 60},
            "dead_letters": {"late": 31, "missing_field": 7, "not_json": 2},
            "catalogue": {"items": len(self.titles), "unavailable": 12},
            "models": [
                {"name": "default", "share": 0.8, "shadow": False},
                {"name": "stan", "share": 0.2, "shadow": False},
                {"name": "popular", "share": 0.0, "shadow": True},
            ],
            "orders": [fake_orders.order()],
            "quality": {"n": 20, "windows": [self._window(300, 1), self._window(3600, 12), self._window(86_400, 150)]},
        }
        return figures | self.stats_change

    def history(self) -> Json:
        """Return an hour of figures that vary as those of now, up to now."""
        now, present = self.stats(), _figures(self.stats())
        waves = [1 + 0.35 * math.sin(at / 40) + self.chance.uniform(-0.12, 0.12) for at in range(POINTS)]
        return {
            "step_s": STEP_S,
            "at_ms": [now["at_ms"] - int(1000 * STEP_S) * (POINTS - 1 - at) for at in range(POINTS)],
            "series": {name: [value * wave for wave in waves] for name, value in present.items()},
        }

    def _window(self, window_s: int, scale: int) -> Json:
        def figures_of(model: str, hr: float, answers: int, *, shadow: bool) -> Json:
            hr += 0.02 * math.sin(self.tick / 17 + hr * 9)
            scored, novel = int(answers * 0.72) * scale, int(answers * 0.6) * scale
            figures = {"hr": hr, "mrr": hr * 0.37, "hr_novel": hr * 0.86}
            half = {
                name: 1.96 * math.sqrt(value * (1 - value) / (novel if name == "hr_novel" else scored))
                for name, value in figures.items()
            }
            return (
                {
                    "model": model,
                    "shadow": shadow,
                    "answers": answers * scale,
                    "scored": scored,
                    "novel_scored": novel,
                    "coverage": min(1.0, 0.12 * math.log10(answers * scale)),
                }
                | figures
                | {f"{name}_low": value - half[name] for name, value in figures.items()}
                | {f"{name}_high": value + half[name] for name, value in figures.items()}
            )

        return {
            "window_s": window_s,
            "models": [
                figures_of("default", 0.412, 820, shadow=False),
                figures_of("stan", 0.437, 203, shadow=False),
                figures_of("popular", 0.061, 1023, shadow=True),
            ],
        }


def _explained(neighbours: list[Json]) -> Json:
    """Return the fields of an explanation: the neighbours that are listed, the others, and what each item adds."""
    shares: dict[str, float] = {}
    for each in neighbours:
        weights = sum(one["weight"] for one in each["shared"])
        for one in each["shared"]:
            shares[one["item_id"]] = shares.get(one["item_id"], 0.0) + each["share"] * one["weight"] / weights
    parts = sorted(shares.items(), key=lambda pair: -pair[1])
    found = {
        "neighbours": [{name: value for name, value in each.items() if name != "idf"} for each in neighbours[:LISTED]],
        "parts": [{"item_id": item, "share": share} for item, share in parts],
    }
    rest = neighbours[LISTED:]
    return found | ({"others": {"neighbours": len(rest), "share": sum(each["share"] for each in rest)}} if rest else {})


def _figures(stats: Json) -> dict[str, float]:
    retained = stats["retained"]
    return (
        {f"rates.{name}": value for name, value in stats["rates"].items()}
        | {f"retained.{name}": retained[name] for name in ("bytes", "horizon_ms") if retained}
        | ({"lag": sum(stats["lag"].values())} if stats["lag"] else {})
        | {
            f"latency_ms.{stage}.{name}": found[name]
            for stage, found in stats["latency_ms"].items()
            for name in ("p50", "p99")
        }
        | {
            f"quality.{window['window_s']}.{model['model']}.hr": model["hr"]
            for window in (stats["quality"] or {"windows": []})["windows"]
            for model in window["models"]
        }
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: FakeService

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it
        """Log nothing."""

    def do_GET(self) -> None:  # so the base class calls it
        path, query = self._asked()
        if path == "/":
            path = "/static/index.html"
        if path.startswith("/static/"):
            self._file(path.removeprefix("/static/"))
        elif path == "/v1/stream":
            self._answer(self._stream)
        else:
            self._answer(lambda: self._send(200, self._get(path, query)))

    def do_POST(self) -> None:
        path, query = self._asked()
        if "details" in query:
            path += "?details=true"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(lambda: self._send(*self._post(path, body)))

    def do_DELETE(self) -> None:
        path, _ = self._asked()
        self._answer(lambda: self._send(200, self._delete(path)))

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()}

    def _answer(self, act: Callable[[], None]) -> None:
        try:
            act()
        except RefusedError as error:
            self._send(error.status, {"error": {"code": error.code, "message": str(error)}})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _allow(self, scope: str) -> None:
        keys = self.service.keys
        if keys is None:
            return
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in keys:
            raise RefusedError(401, "unauthorized", "a key is needed: Authorization: Bearer KEY")
        if scope not in keys[key]:
            raise RefusedError(403, "forbidden", f"this key lacks the scope {scope}")

    def _get(self, path: str, query: dict[str, str]) -> Json:
        self._allow("read")
        service, n = self.service, int(query.get("n", "20"))
        match [unquote(part) for part in path.split("/")[1:]]:
            case ["v1", "stats"]:
                return service.stats()
            case ["v1", "stats", "history"]:
                return service.history()
            case ["v1", "sessions"]:
                return service.recent(int(query.get("limit", "50")))
            case ["v1", "sessions", name]:
                return service.session(name)
            case ["v1", "sessions", name, "recommendations"]:
                items = [event["item_id"] for event in service.sessions.get(name, [])]
                return service.answer(name, items, n, seen=query.get("seen", "keep"))
            case ["v1", "items"]:
                return service.items(query.get("q", ""), int(query.get("limit", "20")))
            case ["v1", "items", name]:
                return service.item(name)
        raise RefusedError(404, "not_found", path)

    def _post(self, path: str, body: Json) -> tuple[int, Json]:
        if path == "/v1/recommendations?details=true":
            self._allow("read")
            return 200, self.service.answer(None, body["items"], body["n"], seen="drop-session")
        self._allow("write")
        if path == "/v1/events":
            events = body if isinstance(body, list) else [body]
            for event in events:
                self.service.apply(event)
            return 202, {"accepted": len(events), "durable": False, "offsets": {}, "refused": []}
        if path == "/v1/events:recommend":
            event = body["event"]
            self.service.apply(event)
            items = [each["item_id"] for each in self.service.sessions[event["session_id"]]]
            return 200, self.service.answer(
                event["session_id"], items, body.get("n", 20), seen=body.get("seen", "keep")
            )
        raise RefusedError(404, "not_found", path)

    def _delete(self, path: str) -> Json:
        self._allow("admin")
        return self.service.forget(unquote(path.rsplit("/", 1)[1]))

    def _stream(self) -> None:
        self._allow("read")
        if self.service.stream_is_down:
            raise RefusedError(503, "stopping", "the service stops")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(b"event: history\ndata: " + json.dumps(self.service.history()).encode() + b"\n\n")
        while not self.service.stream_is_down:
            self.wfile.write(b"event: stats\ndata: " + json.dumps(self.service.stats()).encode() + b"\n\n")
            self.wfile.flush()
            time.sleep(1.0)

    def _file(self, name: str) -> None:
        path = files("stream_rec").joinpath("web", "static", name)
        if not path.is_file() or ".." in name:
            self._send(404, {"error": {"code": "not_found", "message": name}})
            return
        self._send(200, path.read_bytes(), TYPES[name.rsplit(".", 1)[1]])

    def _send(self, status: int, body: Json, kind: str = "application/json") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def fake_service(service: FakeService, port: int = 0) -> Iterator[str]:
    """Serve *service* on a thread; the block gets its address."""
    handler = type("Handler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        service.stream_is_down = True
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    with fake_service(FakeService(), port=8181) as address, contextlib.suppress(KeyboardInterrupt):
        print(address)  # noqa: T201  # the address to open
        threading.Event().wait()
