"""Whether the compiled code of the kernels is on disk, or a first call will have to compile it."""

from pathlib import Path

from stream_rec.core.compiled import drop_stale_code
from stream_rec.core.index.kernel import entries

__all__ = ["is_cold", "kept_in"]


def kept_in() -> str | None:
    """Return the folder of compiled code; None if there is none."""
    kept: str | None = entries.apply.dispatcher.stats.cache_path
    return kept


def is_cold(*kernels: str) -> bool:
    """Return whether the cache lacks the code of one of *kernels*. Cheap."""
    kept = kept_in()
    if kept is None:  # no folder may be written to: each start is a cold one
        return True
    folder = Path(kept)
    drop_stale_code(folder)
    return any(not any(folder.glob(f"entries.{kernel}-*.nbi")) for kernel in kernels)
