"""Errors that mean the same with both clients: credentials, permissions, names in use. Knows neither client."""

from stream_rec.errors import FencedError, SettingsError

__all__ = ["FencedMemberError", "fenced", "fenced_member", "not_allowed", "refused_credentials"]


class FencedMemberError(FencedError):
    """A newer membership of the group has the same name: another process's, or a later one of this process."""


def refused_credentials(text: str, mechanism: str | None) -> SettingsError:
    """The broker refused the credentials that were given by *mechanism*."""
    return SettingsError("kafka.sasl.password", f"the broker refuses these credentials ({mechanism}): {text}")


def not_allowed(text: str, user: str | None) -> SettingsError:
    """The broker did not permit a request of *user*."""
    name = f"the user {user!r}" if user else "clients without credentials"
    return SettingsError("kafka.sasl.username", f"the broker does not allow this to {name}: {text}")


def fenced(text: str) -> FencedError:
    """A newer producer or member has the same name."""
    return FencedError(f"{text}; another process runs under this name")


def fenced_member(text: str) -> FencedMemberError:
    """A newer membership has the same name."""
    return FencedMemberError(f"{text}; another process runs under this name")
