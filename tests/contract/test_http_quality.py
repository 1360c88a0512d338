"""Several models over HTTP: which one answers, and that each is scored by what visitors do next."""

from typing import Any, Final

from web import embedded, eventually

MODELS: Final = '{"arm": {"preset": "stan", "share": 0.5}, "quiet": {"last": 1, "shadow": true}}'
VISITS: Final = [f"v{j}" for j in range(12)]


def click(session: str, item: str, time: int) -> dict[str, Any]:
    return {"session_id": session, "item_id": item, "timestamp": 1_700_000_000_000 + time}


def test_each_session_has_its_model_and_is_scored() -> None:
    """Over HTTP a session gets the same model every time; its next event scores that model and every shadow."""
    with embedded(models=MODELS, http_clock="log") as running:
        client = running.client
        for place, item in enumerate("ab"):
            client.post("/v1/events", [click(visit, item, place) for visit in VISITS])
        answers = [client.get(f"/v1/sessions/{visit}/recommendations?n=5") for visit in VISITS]
        assert [each["model"] for each in answers] == [client.get(f"/v1/sessions/{each}")["model"] for each in VISITS]
        in_arm = sum(each["model"] == "arm" for each in answers)
        assert 0 < in_arm < len(VISITS)
        for name in ("default", "arm", "quiet"):
            assert name == client.get(f"/v1/sessions/v0/recommendations?model={name}")["model"]
        refused = client("GET", "/v1/sessions/v0/recommendations?model=best")
        assert (422, "model") == (refused.status, refused.json["error"]["field"])
        client.post("/v1/events", [click(visit, "a", 9) for visit in VISITS])

        def scored() -> dict[str, int]:
            quality = client.get("/v1/stats")["quality"]
            return {each["model"]: each["scored"] for each in quality["windows"][0]["models"]} if quality else {}

        expected = {"default": len(VISITS) - in_arm, "arm": in_arm, "quiet": len(VISITS)}
        eventually(lambda: scored() == expected, "scored")
        stats = client.get("/v1/stats")
        assert [("default", 0.5, False), ("arm", 0.5, False), ("quiet", 0.0, True)] == [
            (each["name"], each["share"], each["shadow"]) for each in stats["models"]
        ]
        assert [300.0, 3600.0, 86400.0] == [each["window_s"] for each in stats["quality"]["windows"]]


def test_an_answer_to_an_event_is_scored_too() -> None:
    """The answer that came with one event is scored by the next."""
    with embedded() as running:
        for place, item in enumerate("abc"):
            running.client.post("/v1/events:recommend", {"event": click("s", item, place)})

        def scores() -> tuple[int, int] | None:
            quality = running.client.get("/v1/stats")["quality"]
            only = quality and quality["windows"][0]["models"][0]
            return only and (only["answers"], only["scored"])

        eventually(lambda: scores() == (3, 2), "scored")
