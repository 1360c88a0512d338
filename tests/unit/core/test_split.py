"""Several models over one index: which session gets which model, and that each answers as it would alone."""

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Request
from stream_rec.core.model import PRESETS, Split, Trial, changed
from stream_rec.core.outcome import AppliedBatch, Observation
from stream_rec.errors import SettingsError

HASHES = np.array([xxh3_64_intdigest(f"session-{j}".encode()) for j in range(20_000)], np.uint64)
LOG = [Event(f"s{j % 37}", f"i{(j * j + j // 5) % 11}", j) for j in range(400)]


def split(*shares: float, salt: str = "stream-rec") -> Split:
    """Return the main model with trials `t0`, `t1`, ... that have these shares."""
    trials = [Trial(model=changed(PRESETS["stan"], name=f"t{j}"), share=share) for j, share in enumerate(shares)]
    return Split(PRESETS["sknn"], trials, salt)


class RecordingEvaluator:
    """An evaluator that records the rows of each batch."""

    def __init__(self) -> None:
        self.rows: list[list[list[int]]] = []

    def on_applied(self, applied: AppliedBatch) -> None:
        self.rows.append(applied.rows.tolist())

    def on_seen(self, seen: object, watermark: int) -> None:
        """Nothing is shown."""

    def on_forgotten(self, sessions: object) -> None:
        """Nothing to erase: rows hold no ids."""


class TestAssignment:
    """The model of a session is a function of its id, the salt and the shares."""

    @pytest.mark.parametrize("shares", [(0.1,), (0.5, 0.25), (0.2, 0.2, 0.6), (1.0,), (0.0, 0.3)])
    def test_shares_are_kept(self, shares: tuple[float, ...]) -> None:
        """Within chance, over many sessions; the main model has the rest."""
        counts = np.bincount(split(*shares).served(HASHES), minlength=len(shares) + 1) / len(HASHES)
        assert [pytest.approx(share, abs=0.012) for share in (1.0 - sum(shares), *shares)] == counts.tolist()

    def test_it_is_the_same_everywhere(self) -> None:
        """The expected values are fixed here: a version with others would move every session."""
        assert [0, 2, 1, 2, 0, 0, 2, 2, 0, 0] == split(0.2, 0.3).served(HASHES[:10]).tolist()
        three = split(0.2, 0.3)
        named = [three.of(f"session-{j}").name for j in range(1000)]
        assert [three.models[j].name for j in three.served(HASHES[:1000])] == named

    def test_another_salt_draws_independently(self) -> None:
        """A new experiment does not meet the sessions of the last one in the same groups."""
        before, after = split(0.5).served(HASHES), split(0.5, salt="spring").served(HASHES)
        assert pytest.approx(0.5, abs=0.02) == float((before == after).mean())

    def test_a_share_that_grows_keeps_its_sessions(self) -> None:
        """It takes new ones from the main model only, while that is the largest."""
        before, after = split(0.2).served(HASHES), split(0.3).served(HASHES)
        assert not ((before == 1) & (after != 1)).any()
        before, after = split(0.2, 0.1).served(HASHES), split(0.3, 0.1).served(HASHES)
        assert {(0, 1)} == set(zip(before[before != after].tolist(), after[before != after].tolist(), strict=True))

    @pytest.mark.parametrize(("old", "new"), [((0.1, 0.4), (0.2, 0.4)), ((0.3, 0.2, 0.2), (0.3, 0.2, 0.3))])
    def test_few_sessions_move_that_need_not(self, old: tuple[float, ...], new: tuple[float, ...]) -> None:
        """A tenth must move; of the others, only those that a larger share would have claimed later."""
        moved = float((split(*old).served(HASHES) != split(*new).served(HASHES)).mean())
        assert 0.085 < moved < 0.15

    def test_the_order_of_the_tables_does_not_matter(self) -> None:
        """Names do."""
        one, other = (
            Trial(model=changed(PRESETS["stan"], name=name), share=share) for name, share in (("a", 0.2), ("b", 0.3))
        )
        names = [
            [each.models[j].name for j in each.served(HASHES[:1000])]
            for each in (Split(PRESETS["sknn"], [one, other]), Split(PRESETS["sknn"], [other, one]))
        ]
        assert names[0] == names[1]

    def test_shares_of_more_than_all_sessions_are_refused(self) -> None:
        """So are two models of one name, and shadows with a share."""
        with pytest.raises(SettingsError, match=r"add up to 1\.1"):
            split(0.5, 0.6)
        with pytest.raises(SettingsError, match=r"models\.sknn"):
            Split(PRESETS["sknn"], [Trial(model=PRESETS["sknn"], share=0.1)])
        with pytest.raises(SettingsError, match=r"models\.stan\.share"):
            Split(PRESETS["sknn"], [Trial(model=PRESETS["stan"], share=0.1, shadow=True)])
        assert pytest.approx(0.0) == split(*[0.1] * 10).shares[0]


class TestAnswers:
    """Each session is answered by its own model, as that model alone would."""

    @pytest.fixture
    def engine(self) -> Engine:
        trials = [
            Trial(model=changed(PRESETS["stan"], name="arm", n=3), share=0.5),
            Trial(model=changed(PRESETS["v-sknn"], n=7), shadow=True),
        ]
        return Engine("sknn", trials=trials)

    def test_events_are_answered_by_the_sessions_model(self, engine: Engine) -> None:
        """As an engine with that model alone answers them."""
        alone = {each.name: Engine(each) for each in engine.split.models}
        _, answers = engine.apply_and_answer(LOG)
        others = {name: each.apply_and_answer(LOG)[1] for name, each in alone.items()}
        assert {"sknn", "arm"} == {answer.model for answer in answers if answer}
        for place, answer in enumerate(answers):
            assert answer is not None
            assert engine.split.of(str(answer.session_id)).name == answer.model
            assert others[answer.model][place] == answer

    def test_shadows_are_asked_only_for_an_observation(self, engine: Engine) -> None:
        """Without an evaluator their answers would be useless."""
        evaluator = RecordingEvaluator()
        wanted = [place % 3 > 0 for place in range(len(LOG))]
        engine.apply_and_answer(LOG, None, wanted, Observation(evaluator, np.ones(len(LOG), np.uint8)))
        (rows,) = evaluator.rows
        assert [[False, False]] * 3 == [[each >= 0 for each in rows[place][1:]] for place in (0, 3, 6)]
        assert all((row[2] >= 0) == is_wanted for row, is_wanted in zip(rows, wanted, strict=True))
        used = sorted(each for row in rows for each in row if each >= 0)
        assert list(range(2 * sum(wanted))) == used, "each answer has a row of its own"

    def test_requests_are_answered_by_the_sessions_model(self, engine: Engine) -> None:
        """With its length, unless the request has another; without a session by the main model."""
        engine.apply(LOG)
        for session in ("s0", "s1", "s2", "s3", "never seen"):
            own = engine.split.of(session)
            answer, longer = engine.answer([Request(session_id=session), Request(session_id=session, n=8)])
            assert engine.ask(own, session_id=session) == answer.items
            assert (own.name, own.name, 8) == (answer.model, longer.model, len(longer.items))
        assert engine.answer([Request(items=("i1",))])[0].model == "sknn"

    def test_a_request_may_name_a_model(self, engine: Engine) -> None:
        """For any session, a shadow too; an unknown model is refused by name."""
        engine.apply(LOG)
        named = engine.answer([Request(session_id="s1", model=name) for name in ("sknn", "arm", "v-sknn")])
        assert ["sknn", "arm", "v-sknn"] == [answer.model for answer in named]
        assert engine.answer([Request(session_id="s1", preset="stan")])[0].model == "stan"
        with pytest.raises(SettingsError, match="model: 'best' is none of sknn, arm, v-sknn"):
            engine.answer([Request(session_id="s1", model="best")])
