"""A simulated stream sent live: so many lines a second, with the times of when they are sent."""

import json

from stream_rec.simulator.pace import Pace, session_key


class Clock:
    """A clock that goes on by sleeping only, and a place that remembers what came when."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.put: list[tuple[float, bytes, bytes | None]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def take(self, lines: list[bytes], keys: list[bytes | None]) -> None:
        self.put += [(self.now, line, key) for line, key in zip(lines, keys, strict=True)]


def line(session: str, time_ms: int) -> bytes:
    return b'{"session_id":"%s","item_id":"i1","timestamp":%d,"type":"view"}\n' % (session.encode(), time_ms)


def sent(data: bytes, rate: float | None = None, *, now: bool = False) -> Clock:
    clock = Clock()
    pace = Pace(clock.take, rate, now=now, clock=lambda: clock.now, sleep=clock.sleep)  # type: ignore[arg-type]  # lists
    half = data.index(b"\n", len(data) // 2) + 1
    pace(data[:half])
    pace(data[half:])
    return clock


def test_lines_go_on_as_they_are() -> None:
    """Without a rate, all at once: each line once, in order, with its session as key."""
    data = b"".join(line(f"s{i % 3}", 1_700_000_000_000 + i) for i in range(5000))
    clock = sent(data)
    assert data == b"".join(value + b"\n" for _, value, _ in clock.put)
    assert [f"s{i % 3}".encode() for i in range(5000)] == [key for _, _, key in clock.put]
    assert {1_800_000_000.0} == {when for when, _, _ in clock.put}


def test_so_many_a_second() -> None:
    """However they come in, none comes before its time, and none late."""
    clock = sent(b"".join(line("s", 1_700_000_000_000 + i) for i in range(1000)), 200)
    for place, (when, _, _) in enumerate(clock.put):
        due = 1_800_000_000 + place / 200
        assert due - 1e-6 <= when <= due + 0.05


def test_less_than_one_a_second() -> None:
    """A slow stream is a stream all the same."""
    clock = sent(b"".join(line("s", 1_700_000_000_000) for _ in range(4)), 0.5)
    assert 1_800_000_006 <= clock.put[-1][0] <= 1_800_000_009


def test_times_of_now() -> None:
    """The newest event gets the time of sending; a late event stays as late."""
    times = [1_700_000_000_000, 1_700_000_005_000, 1_700_000_002_000, 1_700_000_009_000]
    clock = sent(b"".join(line("s", each) for each in times), now=True)
    now = 1_800_000_000_000
    assert [now, now, now - 3000, now] == [json.loads(value)["timestamp"] for _, value, _ in clock.put]


def test_broken_lines_stay_broken() -> None:
    """They have no session, and no time to be changed."""
    data = b'{"session_id":12}\nnot json\n{"timestamp":"soon"}\n'
    clock = sent(data, now=True)
    assert data == b"".join(value + b"\n" for _, value, _ in clock.put)
    assert [None] * 3 == [key for _, _, key in clock.put]
    assert session_key(b'{"session_id":"a\\"b"}') is None
