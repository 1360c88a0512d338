"""Settings: one object, four layers, and errors that say what to do."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import settings_reference

from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Model, changed
from stream_rec.errors import SettingsError
from stream_rec.service.assembly.engine import build_trials
from stream_rec.settings import Kind, Setting, Settings, load, parameters, table

Toml = Callable[[str], Path]

KEYS = [setting.key for setting in table()]


@pytest.fixture
def toml(tmp_path: Path) -> Toml:
    """Write a settings file and return its path."""

    def write(text: str) -> Path:
        path = tmp_path / "shop.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def flagged(**flags: object) -> Settings:
    """Load *flags* with a source of events."""
    return load(flags={"events": "clicks.jsonl", **flags})


def refused(**flags: object) -> str:
    """Load *flags*, which must be refused, and return the message."""
    with pytest.raises(SettingsError) as caught:
        flagged(**flags)
    return str(caught.value)


class TestLayers:
    """Defaults < TOML file < environment < command line."""

    def test_each_layer_is_stronger_than_the_one_before(self, toml: Toml) -> None:
        """One setting is taken from each layer; all lower layers set it too."""
        config = toml('events = "a.csv"\nn = 2\nm = 2\nk = 2')
        settings = load(config=config, environ={"STREAM_REC_M": "3", "STREAM_REC_K": "3"}, flags={"k": "4"})
        assert ("a.csv", 2, 3, 4) == (settings.events, settings.n, settings.m, settings.k)
        assert Settings(events="a.csv").last is settings.last

    def test_a_stronger_table_replaces_the_weaker_whole(self, toml: Toml) -> None:
        """`--event-type` replaces the file's types, and does not add to them."""
        config = toml('events = "a"\n[types]\nview = 1\ncart = 2')
        assert {"purchase": 5.0} == load(config=config, flags={"types": ("purchase=5",)}).types

    @pytest.mark.parametrize("variable", ["TEST_KAFKA", "KAFKA_BROKER", "KAFKA_CACHE", "DATA"])
    def test_variables_of_the_tests_are_not_typos(self, variable: str) -> None:
        """Variables of the tests, for a broker or data, do not stop the program."""
        assert {} == load(environ={f"STREAM_REC_{variable}": "127.0.0.1:9092", "STREAM_REC_EVENTS": "e"}).kafka

    def test_flags_that_were_not_given_do_not_count(self) -> None:
        """Click passes None and () for options that are not given."""
        environ = {"STREAM_REC_EVENTS": "e", "STREAM_REC_N": "3", "STREAM_REC_DENY": "a"}
        settings = load(environ=environ, flags={"n": None, "deny": (), "fallbacks": None})
        assert (3, ("a",), True) == (settings.n, settings.deny, settings.fallbacks)

    def test_the_environment_can_name_the_file(self, toml: Toml) -> None:
        """STREAM_REC_CONFIG replaces --config."""
        config = toml('events = "from-file"')
        assert load(environ={"STREAM_REC_CONFIG": str(config)}).events == "from-file"

    def test_other_variables_are_ignored(self) -> None:
        """STREAM_REC_DATA belongs to the tests."""
        environ = {"STREAM_REC_DATA": "/data", "STREAM_REC_EVENTS": "e", "HOME": "/"}
        assert load(environ=environ).events == "e"

    def test_a_typo_in_the_environment_is_refused(self) -> None:
        """Otherwise a limit with a misspelt name would silently not apply."""
        with pytest.raises(SettingsError, match=r"did you mean STREAM_REC_RETENTION\?"):
            load(environ={"STREAM_REC_RETENTON": "3d", "STREAM_REC_EVENTS": "e"})

    def test_settings_are_immutable(self) -> None:
        """The object is frozen."""
        with pytest.raises(AttributeError):
            Settings(events="e").n = 3  # type: ignore[misc]


class TestValues:
    """Each layer writes the same value in its own way."""

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("retention_ms", "12h", 43_200_000),
            ("retention_ms", "none", None),
            ("max_bytes", "512MB", 512_000_000),
            ("max_sessions", "1000", 1000),
            ("seen", "keep", "keep"),
            ("fallbacks", "no", False),
            ("deny", "i1, i2", ("i1", "i2")),
            ("types", "view=1,purchase=5.5", {"view": 1.0, "purchase": 5.5}),
            ("fields", "session_id=SessionId", {"session_id": "SessionId"}),
            ("requests", "none", None),
        ],
    )
    def test_text(self, name: str, text: str, value: object) -> None:
        """Environment variables are text."""
        (setting,) = (s for s in table() if s.name == name)
        environ = {"STREAM_REC_EVENTS": "e", f"STREAM_REC_{setting.key.upper()}": text}
        assert value == getattr(load(environ=environ), name)

    def test_toml(self, toml: Toml) -> None:
        """Numbers, switches, lists and tables have TOML types; durations are text."""
        settings = load(
            config=toml(
                'events = "e"\nn = 5\nfallbacks = false\ndeny = ["a,b"]\nretention = "2d"\n'
                'max_bytes = 100_000_000\nmax_future = "none"\n'
                '[types]\nview = 1\n[fields]\nitem_id = "Item"'
            )
        )
        assert (5, False, ("a,b",)) == (settings.n, settings.fallbacks, settings.deny)
        assert (172_800_000, 100_000_000) == (settings.retention_ms, settings.max_bytes)
        assert settings.max_future_ms is None
        assert ({"view": 1.0}, {"item_id": "Item"}) == (settings.types, settings.fields)

    def test_repeated_flags(self) -> None:
        """Each occurrence of a flag is one entry, commas included."""
        settings = flagged(deny=("a,b", "c"), types=("view=1", "buy=2"), fallbacks=False)
        assert ("a,b", "c") == settings.deny
        assert {"view": 1.0, "buy": 2.0} == settings.types
        assert not settings.fallbacks

    @pytest.mark.parametrize("setting", [s for s in table() if not s.required], ids=lambda s: s.key)
    def test_every_default_can_be_given(self, setting: Setting) -> None:
        """The default that the docs show reads back as the default, within its limits."""
        shown = setting.written(setting.default)
        text = "" if shown == "nothing" else shown
        assert setting.default == setting.from_text(text)


class TestRefusals:
    """An error names the key, the given value, what was expected, and the source."""

    @pytest.mark.parametrize(
        ("name", "given", "message"),
        [
            (
                "retention_ms",
                "30 days",
                "retention: --retention gives '30 days'; expected a duration",
            ),
            ("retention_ms", "0", "retention: --retention gives '0'; expected a duration"),
            ("max_bytes", "2 pints", "max_bytes: --max-bytes gives '2 pints'; expected a size"),
            ("max_bytes", "1", "at least 16MiB"),
            ("n", "0", "n: --n gives '0'; expected a whole number, at least 1 and at most 10000"),
            ("n", "many", "n: --n gives 'many'; expected a whole number"),
            ("n", "none", "n: --n gives 'none'"),
            ("seen", "drop", "expected one of keep, drop-current, drop-session"),
            ("events", "", "events: --events gives ''; expected a path"),
            ("types", ("view",), "types: --event-type gives ['view']; expected pairs such as"),
            ("types", ("view=0",), "expected pairs such as purchase=5, with a weight above 0"),
            ("types", ("view=nan",), "expected pairs such as purchase=5, with a weight above 0"),
            ("fields", ("sid=x",), "the fields of an event are session_id, item_id"),
            ("deny", ("",), "deny: --deny gives ['']"),
        ],
    )
    def test_flags(self, name: str, given: object, message: str) -> None:
        """From the command line."""
        assert message in refused(**{name: given})

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("retention = 30", "shop.toml: retention gives 30; expected a duration"),
            ("n = true", "shop.toml: n gives True; expected a whole number"),
            ('n = "5"', "shop.toml: n gives '5'; expected a whole number"),
            ('fallbacks = "no"', "shop.toml: fallbacks gives 'no'; expected true or false"),
            ("retenton = 1", "there is no such setting; did you mean 'retention'?"),
            ("max-sessions = 1", "there is no such setting; did you mean 'max_sessions'?"),
            ("zzz = 1", "there is no such setting; see docs/reference/settings.md"),
            ("n = ", "shop.toml is not TOML"),
            ("events = shop.csv", "(at line 2, column 10); put texts in quotes"),
        ],
    )
    def test_toml(self, toml: Toml, line: str, message: str) -> None:
        """From a file."""
        with pytest.raises(SettingsError) as caught:
            load(config=toml(f'events = "e"\n{line}'))
        assert message in str(caught.value)

    def test_environment(self) -> None:
        """A wrong variable is refused."""
        with pytest.raises(SettingsError, match="fallbacks: STREAM_REC_FALLBACKS gives 'perhaps'"):
            load(environ={"STREAM_REC_EVENTS": "e", "STREAM_REC_FALLBACKS": "perhaps"})

    def test_no_file(self, tmp_path: Path) -> None:
        """The error names the missing file."""
        with pytest.raises(SettingsError, match=r"config: cannot read .*none\.toml: No such file"):
            load(config=tmp_path / "none.toml")

    def test_missing(self) -> None:
        """The error of a missing required setting lists all the ways to give it."""
        with pytest.raises(SettingsError, match="--events, STREAM_REC_EVENTS, or events in the --config"):
            load()

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (
                {"retention_ms": "1m", "allowed_lateness_ms": "2m"},
                "allowed_lateness: is 120000 ms, more than retention (60000 ms)",
            ),
            ({"retention_ms": "1m", "allowed_lateness_ms": "2m"}, "(from --allowed-lateness)"),
            (
                {"max_future_ms": "2h"},
                "max_future: is 7200000 ms, more than allowed_lateness (3600000 ms): a click so far ahead would stay ",
            ),
            ({"max_future_ms": "2h"}, "lower it, or raise allowed_lateness (from --max-future)"),
            (
                {"max_future_ms": "20m", "popular_half_life_ms": "30m"},
                "max_future: is 1200000 ms, more than half of popular_half_life (900000 ms)",
            ),
            (
                {"trending_half_life_ms": "1d"},
                "trending_half_life: is 86400000 ms, and must be shorter than popular_half_life (86400000 ms)",
            ),
            (
                {"newest_share": "0.1"},
                "newest_share: needs items that say when they were listed, but there is no catal",
            ),
            ({"newest_fallback": "after-popular"}, "newest_fallback: needs items that say when they were listed"),
            (
                {"newest_share": "0.1", "n": "4", "catalogue": "items.csv"},
                "newest_share: is 0.1, which is no place of 4; raise it to 0.125 or more, or raise n",
            ),
            ({"shown_at_most": "2"}, "shown_at_most: nothing says what was shown; name the type"),
            (
                {"shown": "seen", "session_gap_ms": "30m"},
                "shown: is counted by sessions of the log, and session_gap cuts sessions from users: leave",
            ),
            ({"shown": "a:b"}, "shown: expected a type without a colon, found 'a:b'"),
            (
                {"shown": "seen", "shown_window_ms": "1h"},
                "shown_window: is 3600000 ms, and must be longer than allowed_lateness (3600000 ms)",
            ),
            ({"answer": "requests"}, "answer: is 'requests', but requests have no source"),
            ({"answer": "none", "requests": "r"}, "answer: is 'none', but requests have a source"),
            ({"requests": "clicks.jsonl"}, "requests: is 'clicks.jsonl', the same as events"),
            ({"events": "-", "requests": "-"}, "requests: is '-', the same as events"),
            ({"dead_letters": "-"}, "dead_letters: is '-', the same as recommendations"),
            (
                {"recommendations": "clicks.jsonl"},
                "recommendations: is 'clicks.jsonl', the same as events",
            ),
        ],
    )
    def test_settings_that_contradict_each_other(self, flags: dict[str, str], message: str) -> None:
        """Settings that are valid alone are refused together."""
        assert message in refused(**flags)

    def test_contradictions_are_refused_without_layers_too(self) -> None:
        """A program that makes the object directly gets the same error."""
        with pytest.raises(SettingsError, match="answer"):
            Settings(events="e", answer="requests")

    @pytest.mark.parametrize(
        ("flags", "future_ms"),
        [
            ({}, 300_000),
            ({"allowed_lateness_ms": "1m"}, 60_000),
            ({"popular_half_life_ms": "1m"}, 30_000),
            ({"max_future_ms": "30m"}, 1_800_000),
            ({"max_future_ms": "none"}, None),
        ],
    )
    def test_the_default_future(self, flags: dict[str, str], future_ms: int | None) -> None:
        """Five minutes, or less where the allowed lateness or half of the half-life of popularity is."""
        assert future_ms == load(flags={"events": "e", **flags}).future_ms

    @pytest.mark.parametrize(
        ("flags", "lateness_ms"),
        [
            ({}, 3_600_000),
            ({"retention_ms": "1m"}, 30_000),
            ({"retention_ms": "none"}, 3_600_000),
            ({"allowed_lateness_ms": "5s", "retention_ms": "1m"}, 5000),
        ],
    )
    def test_the_default_lateness(self, flags: dict[str, str], lateness_ms: int) -> None:
        """The default is an hour, or half of a short retention; the library's limits agree."""
        settings = load(flags={"events": "e", **flags})
        assert lateness_ms == settings.lateness_ms
        limits = Limits(retention_ms=settings.retention_ms, allowed_lateness_ms=settings.allowed_lateness_ms)
        assert lateness_ms == limits.lateness_ms

    def test_standard_input_and_output_differ(self) -> None:
        """`-` may be both a source and a destination."""
        assert load(flags={"events": "-", "recommendations": "-"}).events == "-"


MODELS = """
events = "e"
preset = "sknn"
m = 70
n = 9
seen = "keep"

[models.fresh]
preset = "stan"
share = 0.2
k = 30
normalise = "off"
age_days = "none"

[models."quiet one"]
shadow = true
n = 3
"""


class TestModels:
    """`[models]` holds tables of settings."""

    def test_each_table_is_a_model(self, toml: Toml) -> None:
        """A preset sets its formulas; other parameters that a table omits are those of the main model."""
        fresh, quiet = build_trials(load(config=toml(MODELS)))
        stan = changed(PRESETS["stan"], name="fresh", m=70, n=9, k=30, seen="keep", normalise="none")
        assert (stan, 0.2, False) == (fresh.model, fresh.share, fresh.shadow)
        main = changed(PRESETS["sknn"], name="quiet one", m=70, n=3, seen="keep")
        assert (main, 0.0, True) == (quiet.model, quiet.share, quiet.shadow)

    def test_the_environment_and_flags_take_json(self, toml: Toml) -> None:
        """JSON of a higher layer replaces the file's tables, as with all tables."""
        given = '{"arm": {"preset": "stan", "share": 0.5, "m": 20}}'
        for settings in (
            load(config=toml(MODELS), environ={"STREAM_REC_MODELS": given}),
            load(config=toml(MODELS), flags={"models": given}),
        ):
            (arm,) = build_trials(settings)
            assert ("arm", 20, 0.5) == (arm.model.name, arm.model.m, arm.share)

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ("[models.a]\nshare = 0.1\nm = 0", "models.a.m: FILE: models.a.m gives 0; expected a whole number"),
            ("[models.a]\nshare = 1.5", "models.a.share: FILE: models.a.share gives 1.5; expected a number"),
            (
                "[models.a]\nshare = 0.1\npreset = 'x'",
                "models.a.preset: FILE: models.a.preset gives 'x'; expected one of",
            ),
            (
                "[models.a]\nshare = 0.1\nretention = '1d'",
                "models.a.retention: FILE: models.a sets it, but a model has",
            ),
            ("[models.a]\nshare = 0.1\nnewest_share = 0.2", "models.a.newest_share: needs items that say when they"),
            ("[models.a]\nm = 10", "models.a: FILE: models.a has neither share nor shadow"),
            ("[models.a]\nshare = 0.1\nshadow = true", "models.a.share: is given, but a shadow serves no sessions"),
            ("[models.a]\nshare = 0.6\n[models.b]\nshare = 0.5", "models: has shares that add up to 1.1"),
            ("models = 3", "models: FILE: models gives 3; expected tables such as [models.fresh]"),
            ("[models]\nshare = 0.1", "models: FILE: models gives {'share': 0.1}; expected tables such as"),
        ],
    )
    def test_errors_name_the_model(self, toml: Toml, lines: str, message: str) -> None:
        """The error names the model and the source."""
        path = toml(f'events = "e"\n{lines}')
        with pytest.raises(SettingsError) as caught:
            load(config=path)
        assert str(caught.value).startswith(message.replace("FILE", str(path)))

    def test_invalid_json_is_refused(self) -> None:
        """From the command line."""
        assert "models: --models gives 'fast'; expected tables such as [models.fresh]" in refused(models="fast")

    @pytest.mark.parametrize("windows", [("5",), ("0s",), ("1ms",), ("1h",) * 9])
    def test_windows_are_durations(self, windows: tuple[str, ...]) -> None:
        """Windows are a second or more, and at most eight."""
        assert refused(quality_windows=windows).startswith("quality_windows: has ")
        assert (60_000, 7_200_000) == flagged(quality_windows=("1m", "2h")).quality_windows_ms

    def test_a_model_can_have_every_parameter(self) -> None:
        """A setting that is added among the parameters is one as well."""
        shared = {key for key in Model.__struct_fields__ if key in Settings.__struct_fields__}
        assert {"preset", *shared} == {setting.name for setting in parameters().values()}


class TestDefinition:
    """The definitions that the docs and the command line are made from."""

    def test_every_setting_is_in_the_reference(self, tree: Path) -> None:
        """The page is what `make docs` writes now."""
        written = (tree / "docs/reference/settings.md").read_text(encoding="utf-8")
        assert settings_reference.page() == written, "run `make docs`"

    def test_names_are_unique(self) -> None:
        """No key, flag or attribute is used twice."""
        assert len(table()) == len(set(KEYS)) == len({s.flag for s in table()})

    def test_a_field_without_docstring_cannot_be_defined(self) -> None:
        """A field without a docstring raises TypeError."""
        from stream_rec.settings.fields import settings_of  # noqa: PLC0415 (only this test looks inside)

        class Undocumented(msgspec.Struct):
            first: int
            second: int

        with pytest.raises(TypeError, match="'first' has no docstring"):
            settings_of(Undocumented)

    def test_units_are_kept_out_of_keys(self) -> None:
        """`retention_ms` is set as `retention`, in any unit."""
        for setting in table():
            assert setting.name.endswith("_ms") == (setting.kind is Kind.DURATION)
            assert not setting.key.endswith("_ms")
