"""Law 5: killed at any step of any commit, and started again, the service leaves what it leaves if nothing happens."""

from pathlib import Path

import pytest
from crash import Bomb, Crash, broker_with, log_of, run_to_the_end, snapshots_in, timed_parts, written

from stream_rec.errors import TransportError


def crashed_everywhere(seed: int, folder: Path | None) -> int:
    """Crash once at every step, each in a run of its own; return how many there were."""
    partitions = 1 + seed % 3
    log = log_of(seed)
    whole = Bomb()
    undisturbed = broker_with(log, partitions, whole)
    run_to_the_end(timed_parts(undisturbed, None if folder is None else snapshots_in(folder / "whole", whole)))
    expected = written(undisturbed)
    assert expected[0], "something was answered"
    for at in range(1, whole.n + 1):
        bomb = Bomb()
        broker = broker_with(log, partitions, bomb)
        own = None if folder is None else folder / f"at{at}"
        bomb.at = at
        with pytest.raises(Crash):
            run_to_the_end(timed_parts(broker, None if own is None else snapshots_in(own, bomb)))
        broker.expire("stream-rec")
        run_to_the_end(timed_parts(broker, None if own is None else snapshots_in(own, bomb)))
        assert expected == written(broker), f"crashed at step {at} of {whole.n}"
    return whole.n


@pytest.mark.parametrize("seed", range(50))
def test_a_crash_at_any_step_leaves_no_trace(seed: int) -> None:
    """Answers and dead letters, their order and their bytes: all as in a run without a crash."""
    assert crashed_everywhere(seed, None) > 20


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_a_crash_leaves_no_trace_where_there_are_snapshots(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash at a step of a commit or of a snapshot does not show after the next start."""
    # No disk loses its power here, and waiting for it some thousand times would take two minutes.
    monkeypatch.setattr("os.fsync", lambda _: None)
    assert crashed_everywhere(seed, tmp_path) > 40


class Outage:
    """Fails the step that it is set to, once, as a broker that is away for a moment does."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, step: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise TransportError(f"no answer to {step}", retriable=True)


@pytest.mark.parametrize("seed", range(8))
def test_a_commit_whose_reply_is_lost_is_not_done_twice(seed: int) -> None:
    """The broker had committed when it went away: the outputs are those of a run without the outage."""
    log = log_of(seed)
    whole = broker_with(log, 2, Bomb())
    run_to_the_end(timed_parts(whole))
    for at in range(1, 9):
        broker = broker_with(log, 2, Bomb())
        broker.inject(after=Outage(at))
        run_to_the_end(timed_parts(broker))
        assert written(whole) == written(broker), f"the reply to commit {at} was lost"


@pytest.mark.parametrize("seed", range(8))
def test_a_step_that_fails_for_now_is_done_again(seed: int) -> None:
    """The whole transaction is done again: readers of committed records never see the first try."""
    log = log_of(seed)
    whole = broker_with(log, 2, Bomb())
    run_to_the_end(timed_parts(whole))
    for at in range(1, 30):
        broker = broker_with(log, 2, Bomb())
        broker.inject(before=Outage(at))
        run_to_the_end(timed_parts(broker))
        assert written(whole) == written(broker), f"step {at} failed"


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(50, 1100))
def test_a_crash_leaves_no_trace_in_many_logs(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash at any step leaves no trace in a thousand more logs."""
    monkeypatch.setattr("os.fsync", lambda _: None)  # as above
    crashed_everywhere(seed, tmp_path if seed % 10 == 0 else None)
