"""The collector of cycles runs seldom while a service runs, and as before after it."""

import gc

from stream_rec.service.running.gc_tuning import calm_collector


def test_it_is_calm_within_and_as_it_was_after() -> None:
    """Also where one service runs beside another."""
    before = gc.get_threshold()
    with calm_collector():
        assert gc.get_threshold()[0] >= 50_000
        assert gc.get_freeze_count() > 0
        with calm_collector():
            assert gc.get_threshold()[0] >= 50_000
        assert gc.get_threshold()[0] >= 50_000
    assert before == gc.get_threshold()
    assert gc.get_freeze_count() == 0
