"""What was shown, over HTTP: counted apart from clicks, in figures and metrics, and left out where it was ignored."""

import time

from web import embedded

NOW = int(time.time() * 1000) - 60_000


def test_what_was_shown_is_counted_and_left_out() -> None:
    """Events of what was shown are taken whatever types are clicks; a session gets no more of what it ignores."""
    clicks = [("ann", "tent"), ("ben", "tent"), ("ben", "stove"), ("cleo", "tent"), ("cleo", "lamp")]
    with embedded(shown="shown", shown_at_most="2", types=["view=1"]) as running:
        client = running.client
        events = [{"session_id": who, "item_id": item, "timestamp": NOW + n} for n, (who, item) in enumerate(clicks)]
        assert 5 == client.post("/v1/events", events)["accepted"]

        def offered(who: str) -> list[str]:
            found = client.get(f"/v1/sessions/{who}/recommendations")["items"]
            return sorted(each["item_id"] for each in found)

        assert ["lamp", "stove"] == offered("ann")
        kinds = ["shown:1:neighbours", "shown:2", "shown", "shown:0", "seen"]
        shown = [
            {"session_id": "ann", "item_id": "stove", "timestamp": NOW + 10 + n, "type": kind}
            for n, kind in enumerate(kinds)
        ]
        taken = client.post("/v1/events", [*shown, {**shown[0], "item_id": "lamp"}])
        assert (4, [3, 4]) == (taken["accepted"], [each["index"] for each in taken["refused"]])
        assert {"unknown_type"} == {each["code"] for each in taken["refused"]}
        assert "shown:PLACE" in taken["refused"][0]["message"]
        assert ["lamp"] == offered("ann")
        assert ["lamp", "tent"] == offered("ben") or "stove" not in offered("ann")
        client.post("/v1/events", {"session_id": "ann", "item_id": "lamp", "timestamp": NOW + 30})
        time.sleep(1.2)  # figures are of a second ago at most
        stats = client.get("/v1/stats")
        assert (6, 4) == (stats["counts"]["applied"], stats["counts"]["shown"])
        parts = {(each["by"], each["value"]): each for each in stats["quality"]["windows"][-1]["shown"]}
        assert {
            ("model", "all"): (4, 1),
            ("place", "1"): (2, 1),
            ("place", "2"): (1, 0),
            ("place", "unknown"): (1, 0),
            ("source", "neighbours"): (2, 1),
            ("source", "unknown"): (2, 0),
        } == {part: (each["shown"], each["clicked"]) for part, each in parts.items()}
        assert 0.25 == parts["model", "all"]["ctr"]
        text = client("GET", "/metrics").text
        assert 'stream_rec_events_total{outcome="shown"} 4.0' in text
        labels = 'by="source",model="default",value="neighbours",window="86400s"'
        assert f"stream_rec_quality_click_through_ratio{{{labels}}} 0.5" in text
