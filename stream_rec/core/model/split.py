"""Several models over one index: which one serves a session, and which are shadows.

The model of a session depends only on its id, the salt and the shares. So it is the same on every replica, after every
restart, and for every event of the session. Knows nothing of settings, and stores nothing about sessions.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream_rec.core.dtypes import U64
from stream_rec.core.model.model import Model
from stream_rec.errors import SettingsError
from stream_rec.nearest import did_you_mean

__all__ = ["SALT", "Split", "Trial"]

SALT: Final = "stream-rec"
_BUCKETS: Final = 10_000
"""Number of parts that shares are counted in: a hundredth of a per cent each."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A model beside the main one; it has the name of its model."""

    model: Model
    share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    """The share of sessions that it answers."""

    shadow: bool = False
    """It is asked whenever a served model is, and its answers are evaluated, but never sent."""


class Split:
    """The main model and the trials. `models` holds them all: the main one, the served ones, the shadows.

    Raises SettingsError for shares above 1 in sum, and for a name that occurs twice.
    """

    def __init__(self, main: Model, trials: Sequence[Trial] = (), salt: str = SALT) -> None:
        served = [each for each in trials if not each.shadow]
        shadows = [each for each in trials if each.shadow]
        for each in shadows:
            if each.share:
                raise SettingsError(f"models.{each.model.name}.share", "a shadow serves no session: drop one of both")
        left = 1.0 - sum(each.share for each in served)
        if left < -_ROUNDING:
            raise SettingsError("models", f"the shares add up to {1.0 - left:g}, more than all sessions; lower them")
        self.models = (main, *(each.model for each in served), *(each.model for each in shadows))
        self.shares = (max(0.0, round(left, 9)), *(each.share for each in served), *(0.0 for _ in shadows))
        self.n_served = 1 + len(served)
        self.longest = max(each.n for each in self.models)
        names = [each.name for each in self.models]
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"models.{name}", "two models have this name, the main one among them; rename one")
        self._salt = np.uint64(xxh3_64_intdigest(salt.encode()))
        self._owner = _claimed([(each.model.name, each.share) for each in served], salt)
        self._owners: list[int] = self._owner.tolist()

    @property
    def is_single(self) -> bool:
        """Whether there is only the main model."""
        return len(self.models) == 1

    def served(self, hashes: U64) -> npt.NDArray[np.intp]:
        """Return for each session, by the XXH3-64 of its id, the index of its model in `models`. A few numpy calls."""
        return self._owner[(_all_mixed(hashes ^ self._salt) % np.uint64(_BUCKETS)).astype(np.intp)]

    def of(self, session_id: str) -> Model:
        """Return the model that answers session *session_id*."""
        if self.n_served == 1:
            return self.models[0]
        word = mixed(xxh3_64_intdigest(session_id.encode()) ^ int(self._salt))
        return self.models[self._owners[word % _BUCKETS]]

    def named(self, name: str) -> Model:
        """Return the model of that name. Raises SettingsError."""
        for each in self.models:
            if each.name == name:
                return each
        names = [each.name for each in self.models]
        raise SettingsError("model", f"{name!r} is none of {', '.join(names)}{did_you_mean(name, names)}")


_ROUNDING: Final = 1e-9  # tolerance for shares written in decimals


_FIRST, _SECOND, _WORD = 0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB, (1 << 64) - 1


def mixed(word: int) -> int:
    """Return *word* with every bit spread over all (the finaliser of SplitMix64, Steele et al. 2014)."""
    word = (word ^ (word >> 30)) * _FIRST & _WORD
    word = (word ^ (word >> 27)) * _SECOND & _WORD
    return word ^ (word >> 31)


def _all_mixed(words: U64) -> U64:
    """Return `mixed` of each word."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(_FIRST)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(_SECOND)
    return words ^ (words >> np.uint64(31))


def _claimed(shares: Sequence[tuple[str, float]], salt: str) -> npt.NDArray[np.intp]:
    """Return the model of each bucket: 0 for the main one, j for the j-th of *shares*.

    In each turn every model claims one bucket, in an order of its own (by its name), until it has its share; a bucket
    that is taken already costs the turn. So a share that grows keeps its buckets and takes nearly all new ones from the
    main model. From another it takes only buckets that the other would claim in later turns, and then claims elsewhere.
    """
    owner = np.zeros(_BUCKETS, np.intp)
    wanted = [int(share * _BUCKETS + _ROUNDING) for _, share in shares]
    buckets = np.arange(_BUCKETS, dtype=np.uint64)
    seeds = [np.uint64(xxh3_64_intdigest(f"{salt}\0{name}".encode())) for name, _ in shares]
    orders = [np.argsort(_all_mixed(_all_mixed(buckets) ^ seed), kind="stable").tolist() for seed in seeds]
    turns = sorted(range(len(shares)), key=lambda j: shares[j][0])  # not by their order in a file
    for turn in range(_BUCKETS if shares else 0):
        for j in turns:
            if wanted[j] and owner[orders[j][turn]] == 0:
                owner[orders[j][turn]] = j + 1
                wanted[j] -= 1
    return owner
