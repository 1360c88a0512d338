"""What a service says of what it does until it is ready."""

import logging
import os
import signal
from collections.abc import Callable

import pytest
from clicks import broker_with, clicks, run_until, threaded

from stream_rec.cli.run import _compile_kernels
from stream_rec.errors import MissingTopicError, RegistryUnavailableError, TransportError
from stream_rec.service.activity import Activity, ActivityLog, Doing, Phase
from stream_rec.service.assembly import warm_up
from stream_rec.service.problems import ProblemKind
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.running.signals import CutShort, Interrupt
from stream_rec.service.timeouts import Timeouts
from stream_rec.settings import load


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_how_far_it_is_and_about_how_long_it_will_last() -> None:
    """In words and as figures; a time that was expected and has passed is not named any more."""
    clock = Clock()
    activity = Activity(clock)
    activity.begin(Phase.READING)
    activity.advance(0, 5_000_000)
    assert "reading the events (0%)" == activity.now().message
    clock.now = 8.0
    activity.advance(1_200_000, 5_000_000)
    words = "reading the events: 1,200,000 of about 5,000,000 records (24%), 150,000/s, about 25s to go"
    assert Doing(Phase.READING, words, 8.0, 1_200_000, 5_000_000, 0.24, 25.3) == activity.now()
    activity.advance(1_200_000, share=None)
    assert "reading the events: 1,200,000 records, 150,000/s" == activity.now().message
    activity.begin(Phase.COMPILING, expected_s=60.0)
    clock.now += 20
    assert activity.now().message.endswith("once on this machine, for 20s so far, about 40s to go")
    clock.now += 50
    assert (None, True) == (activity.now().remaining_s, activity.now().message.endswith("for 1m 10s so far"))


def test_a_problem_that_stands_against_being_ready_is_named() -> None:
    """By its kind alone, also where the service answers."""
    activity = Activity()
    activity.begin(Phase.READY)
    assert (Phase.READY, "ready") == (activity.now().phase, activity.now().message)
    found = activity.now(["partitions"])
    assert (Phase.BLOCKED, True) == (found.phase, found.message.endswith(": partitions"))


def test_it_is_logged_every_ten_seconds_until_it_is_ready(caplog: pytest.LogCaptureFixture) -> None:
    """With its figures as fields."""
    clock, activity = Clock(), Activity()
    activity.begin(Phase.SNAPSHOT)
    lines = ActivityLog(clock)
    with caplog.at_level(logging.INFO):
        for clock.now in (0.0, 9.0, 10.0, 11.0, 20.0):
            lines(activity.now)
        activity.begin(Phase.READY)
        clock.now = 60.0
        lines(activity.now)
    assert ["loading the newest snapshot"] * 2 == caplog.messages
    assert "snapshot" == caplog.records[0].stream_rec_fields["phase"]  # type: ignore[attr-defined]


def _failing(*errors: Exception) -> Callable[..., object]:
    left, broker = list(errors), broker_with(clicks(3))

    def connect(_: object) -> object:
        if left:
            raise left.pop(0)
        return threaded(broker)

    return connect


def test_a_service_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, up to ready, and then that it stops."""
    errors = (
        TransportError("away", retriable=True),
        MissingTopicError("no topic"),
        RegistryUnavailableError("no registry"),
    )
    service = KafkaService(_failing(*errors), timeouts=Timeouts(retry_first_wait_s=0.0))  # type: ignore[arg-type]
    seen: list[Phase] = []
    begin = service.activity.begin

    def note(phase: Phase) -> None:
        begin(phase)
        if phase is not Phase.CLUSTER and [phase] != seen[-1:]:
            seen.append(phase)

    monkeypatch.setattr(service.activity, "begin", note)
    run_until(service, lambda: service.counters.n_read == 3)
    expected = [Phase.BROKER, Phase.TOPIC, Phase.REGISTRY, Phase.READING, Phase.PARTITIONS, Phase.READY, Phase.STOPPING]
    assert expected == seen
    service.problems.begin(ProblemKind.PARTITIONS, "added", blocks=True)
    service.activity.begin(Phase.READY)
    assert Phase.BLOCKED is service.doing.phase


def test_a_signal_ends_the_compiling_of_kernels(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first one, at once; meanwhile the service says that it compiles."""
    said: list[Doing] = []
    activity = Activity()

    def compile_all(**_: object) -> None:
        said.append(activity.now())
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it goes on")

    monkeypatch.setattr(warm_up, "is_cold", lambda **_: True)
    monkeypatch.setattr(warm_up, "warm_up", compile_all)
    with Interrupt() as interrupt:
        with pytest.raises(CutShort):
            _compile_kernels(load(flags={"events": "http", "http": ":0"}), interrupt, activity)
        assert interrupt.asked
        with pytest.raises(CutShort), interrupt.cutting_short():
            raise AssertionError("it began")
    assert [(Phase.COMPILING, True)] == [(each.phase, 0 < (each.remaining_s or 0) <= 60) for each in said]
