"""Whether a run that is done counts as a success: something was applied, and not too much was refused.

Knows nothing of exit codes.
"""

from decimal import Decimal

from stream_rec.service.metrics.counters import Counters

__all__ = ["nothing_applied", "over_limit"]

_PERCENT = "%"


def nothing_applied(counts: Counters) -> str | None:
    """Return why no record of the events was applied; None if one was."""
    if counts.n_applied:
        return None
    if not counts.n_read:
        return "nothing was applied: the source of events is empty"
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in counts.dead.most_common())
    every = "the only record was" if counts.n_read == 1 else f"all {counts.n_read:,} records were"
    return f"nothing was applied: {every} refused ({reasons})"


def over_limit(counts: Counters, limit: str | None) -> str | None:
    """Return what is wrong if more records of the events were refused than *limit* allows; None if nothing is.

    *limit* is a share (`1%`) of the records read, or a count (`100`). Duplicates are not counted: what they say is
    applied. Exact: no share is rounded.
    """
    if limit is None:
        return None
    n = counts.dead.total()
    if limit.endswith(_PERCENT):
        if n * 100 <= counts.n_read * Decimal(limit.removesuffix(_PERCENT)):
            return None
        share = f" ({n / counts.n_read:.2%})"
    else:
        if n <= int(limit):
            return None
        share = ""
    return f"{n:,} of {counts.n_read:,} records were refused{share}: more than --max-refused {limit} allows"
