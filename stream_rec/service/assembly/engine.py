"""Settings -> the engine: model, trials, limits, rules for items, live quality."""

from typing import Any

from stream_rec.core.engine import NOT_OF_A_PRESET, Engine
from stream_rec.core.limits import Limits
from stream_rec.core.model import Model, Rules, Split, Trial, changed, model
from stream_rec.core.quality import Quality
from stream_rec.core.shown import ShownRules
from stream_rec.guard.beside import on_a_thread
from stream_rec.service.assembly.id_lists import read_ids
from stream_rec.settings import Settings

__all__ = [
    "build_engine",
    "build_item_rules",
    "build_limits",
    "build_model",
    "build_quality",
    "build_shown_rules",
    "build_trials",
    "read_denied",
]


def build_engine(settings: Settings) -> Engine:
    """Make an empty engine. Raises SettingsError."""
    return Engine(
        build_model(settings),
        limits=build_limits(settings),
        type_weights=settings.types,
        deny=read_denied(settings),
        session_gap_ms=settings.session_gap_ms,
        trials=build_trials(settings),
        salt=settings.models_salt,
        rules=build_item_rules(settings),
        trending_half_life_ms=settings.trending_half_life_ms,
        shown=build_shown_rules(settings),
        beside=on_a_thread,
    )


def build_model(settings: Settings) -> Model:
    """Return the preset with the settings' own parameters."""
    shared = [key for key in Model.__struct_fields__ if key in Settings.__struct_fields__]
    return model(settings.preset, **{key: _parameter(getattr(settings, key)) for key in shared})


def build_trials(settings: Settings) -> list[Trial]:
    """Return the models that run beside the main one. Raises SettingsError."""
    main = build_model(settings)
    trials = []
    for name, trial in settings.models.items():
        own = {key: _parameter(value) for key, value in trial.parameters.items()}
        preset = own.pop("preset", None)
        base = main
        if preset is not None:
            base = model(str(preset), **{key: getattr(main, key) for key in NOT_OF_A_PRESET})
        trials.append(Trial(model=changed(base, **own, name=name), share=trial.share, shadow=trial.shadow))
    return trials


def _parameter(value: Any) -> Any:  # noqa: ANN401  # of any parameter
    """Return the model's value for a setting's: the settings say `off` where the model says `none`."""
    return "none" if value == "off" else value


def build_limits(settings: Settings) -> Limits:
    """Return the bounds of the session store."""
    return Limits(
        retention_ms=settings.retention_ms,
        allowed_lateness_ms=settings.lateness_ms,
        max_sessions=settings.max_sessions,
        max_events=settings.max_events,
        max_bytes=settings.max_bytes,
        max_session_events=settings.max_session_events,
        dedupe_window_ms=settings.dedupe_window_ms,
        popular_half_life_ms=settings.popular_half_life_ms,
    )


def build_shown_rules(settings: Settings) -> ShownRules | None:
    """Return which events say what was shown; None if none does."""
    if settings.shown is None:
        return None
    return ShownRules(
        type=settings.shown,
        at_most=settings.shown_at_most,
        window_ms=settings.shown_window_ms,
        max_items=settings.shown_max_items,
    )


def build_item_rules(settings: Settings) -> Rules:
    """Return the item rules of every answer, without the deny list. Raises SettingsError."""
    allow = read_ids(settings.allow, settings.allow_file, "allow_file")
    return Rules(
        allow=allow if allow or settings.allow_file else None,
        filter=settings.filter,
        boosts=dict(settings.boosts),
        same_category=settings.same_category,
        max_per_category=settings.max_per_category,
    )


def build_quality(settings: Settings) -> Quality | None:
    """Return the live evaluation of answers; None where nothing is answered, or where the setting switches it off."""
    if not settings.quality or (settings.answer == "none" and settings.http is None):
        return None
    return Quality(
        Split(build_model(settings), build_trials(settings), settings.models_salt),
        n=min(settings.quality_n, settings.n),
        windows_ms=settings.quality_windows_ms,
        capacity=settings.quality_sessions,
    )


def read_denied(settings: Settings) -> frozenset[str]:
    """Return the items of the deny list and of its file. Raises SettingsError for a file that cannot be read."""
    return read_ids(settings.deny, settings.deny_file, "deny_file")
