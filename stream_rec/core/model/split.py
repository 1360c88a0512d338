"""Several models over one index: which of them a session gets, and which are asked without being served.

A session's model depends on its id, the salt and the shares, and on nothing else: it is the same on every replica,
after every restart, and for every event of the session. Knows nothing of settings, and keeps nothing of any session.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream_rec.core.model.model import Model
from stream_rec.errors import SettingsError

__all__ = ["SALT", "Split", "Trial"]

SALT: Final = "stream-rec"
BUCKETS: Final = 10_000
"""Shares are counted in so many parts: to a hundredth of a per cent."""

U64 = npt.NDArray[np.uint64]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A model beside the main one; its name is the model's."""

    model: Model
    share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    """Of the sessions, those that it answers."""

    shadow: bool = False
    """It is asked wherever a served model is, and its answers are judged, but nobody gets them."""


class Split:
    """The main model and those on trial. `models` holds them all: the main one, the served ones, the shadows.

    Raises SettingsError for shares that do not add up, and for a name that is taken.
    """

    def __init__(self, main: Model, trials: Sequence[Trial] = (), salt: str = SALT) -> None:
        served = [each for each in trials if not each.shadow]
        shadows = [each for each in trials if each.shadow]
        for each in shadows:
            if each.share:
                raise SettingsError(f"models.{each.model.name}.share", "a shadow is served to nobody: drop one of both")
        left = 1.0 - sum(each.share for each in served)
        if left < -ROUNDING:
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
        """Return for each session, by the XXH3-64 of its id, which of `models` answers it. A few numpy calls."""
        return self._owner[(_all_mixed(hashes ^ self._salt) % np.uint64(BUCKETS)).astype(np.intp)]

    def of(self, session_id: str) -> Model:
        """Return the model that answers session *session_id*."""
        if self.n_served == 1:
            return self.models[0]
        word = mixed(xxh3_64_intdigest(session_id.encode()) ^ int(self._salt))
        return self.models[self._owners[word % BUCKETS]]

    def named(self, name: str) -> Model:
        """Return the model of that name. Raises SettingsError."""
        for each in self.models:
            if each.name == name:
                return each
        raise SettingsError("model", f"{name!r} is none of {', '.join(each.name for each in self.models)}")


ROUNDING: Final = 1e-9  # of shares that are written in decimals


FIRST, SECOND, WORD = 0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB, (1 << 64) - 1


def mixed(word: int) -> int:
    """Return *word* with every bit spread over all (the finaliser of SplitMix64, Steele et al. 2014)."""
    word = (word ^ (word >> 30)) * FIRST & WORD
    word = (word ^ (word >> 27)) * SECOND & WORD
    return word ^ (word >> 31)


def _all_mixed(words: U64) -> U64:
    """Return what `mixed` makes of each."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(FIRST)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(SECOND)
    return words ^ (words >> np.uint64(31))


def _claimed(shares: Sequence[tuple[str, float]], salt: str) -> npt.NDArray[np.intp]:
    """Return the model of each bucket: 0 the main one, j the j-th of *shares*.

    All claim at the same time, a bucket a turn, each along an order of its own (by its name) until it has its share; a
    bucket that is taken is a turn lost. So a share that grows keeps what it had, and takes nearly all that is new from
    the main model: of the others only what they would have claimed in later turns, for which they claim others.
    """
    owner = np.zeros(BUCKETS, np.intp)
    wanted = [int(share * BUCKETS + ROUNDING) for _, share in shares]
    buckets = np.arange(BUCKETS, dtype=np.uint64)
    seeds = [np.uint64(xxh3_64_intdigest(f"{salt}\0{name}".encode())) for name, _ in shares]
    orders = [np.argsort(_all_mixed(_all_mixed(buckets) ^ seed), kind="stable").tolist() for seed in seeds]
    turns = sorted(range(len(shares)), key=lambda j: shares[j][0])  # not by their order in a file
    for turn in range(BUCKETS if shares else 0):
        for j in turns:
            if wanted[j] and owner[orders[j][turn]] == 0:
                owner[orders[j][turn]] = j + 1
                wanted[j] -= 1
    return owner
