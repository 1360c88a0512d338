"""One question to the registry: the schema of an id, with all that it refers to. By confluent-kafka's own client."""

from typing import Any, Final

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from stream_rec.core.events import Reason
from stream_rec.errors import DecodeError, RegistryUnavailableError, SettingsError
from stream_rec.transport.kafka.registry.config import RegistryConfig
from stream_rec.transport.kafka.registry.readers import Fetched

__all__ = ["check_registry", "fetch_schema"]

_NOT_FOUND: Final = 404
_LOGIN: Final = 401
_NOT_THE_REGISTRY: Final = (None, SchemaRegistryError.UNKNOWN)
"""The code of an answer that a proxy gave in its place."""
_SERIALIZED: Final = "serialized"  # Protobuf as a descriptor: no parser of its text is needed
_MOST_REFERENCES: Final = 1000


def check_registry(config: RegistryConfig) -> None:
    """See whether the registry answers.

    Raises SettingsError where a setting is wrong, and RegistryUnavailableError where it may only be away.
    """
    try:
        client = SchemaRegistryClient(config.client())
    except (OSError, TypeError, ValueError) as error:
        raise SettingsError("registry_config", config.hide(f"the registry's client refuses it: {error}")) from None
    try:
        with client:
            client.get_schema_types()
    except SchemaRegistryError as error:
        said = config.hide(str(error))
        if error.http_status_code == _LOGIN:
            raise SettingsError("registry_config", f"{config.url} refuses these credentials: {said}") from None
        if error.http_status_code == _NOT_FOUND:
            raise SettingsError(
                "registry",
                f"there is no schema registry at {config.url} (its API may have a path of its own, such as "
                f"/apis/ccompat/v7 of Apicurio): {said}",
            ) from None
        if error.http_status_code >= 500 or error.http_status_code in {408, 429}:  # noqa: PLR2004 (HTTP)
            raise _unavailable(config, error) from None
    except Exception as error:  # noqa: BLE001 (of the client's HTTP library, whichever it is)
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise SettingsError(
                "registry_config.ssl.ca.location", f"does not verify the certificate of {config.url}: {error}"
            ) from None
        raise _unavailable(config, error) from None


def fetch_schema(config: RegistryConfig, schema: int | str) -> Fetched:
    """Return the schema of that id or GUID.

    Raises DecodeError where the registry does not know it, and RegistryUnavailableError where it says nothing of use.
    """
    try:
        with SchemaRegistryClient(config.client()) as client:
            return _fetch(client, schema)
    except SchemaRegistryError as error:
        if error.http_status_code == _NOT_FOUND and error.error_code not in _NOT_THE_REGISTRY:
            message = config.hide(f"written with schema {schema}, which {config.url} does not know: {error}")
            raise DecodeError(Reason.UNKNOWN_SCHEMA, message) from None
        raise _unavailable(config, error) from None
    except DecodeError:
        raise
    except Exception as error:  # noqa: BLE001 (of the client's HTTP library, whichever it is)
        raise _unavailable(config, error) from None


def _fetch(client: SchemaRegistryClient, schema: int | str) -> Fetched:
    found = _ask(client, schema, None)
    kind = found.schema_type or "AVRO"
    form = None
    if kind == "PROTOBUF":
        form = _SERIALIZED
        client.clear_caches()  # the client caches by the id alone
        found = _ask(client, schema, form)
    references: dict[str, str] = {}
    _add_references(client, found, form, references)
    return Fetched(kind, found.schema_str or "", references)


def _ask(client: SchemaRegistryClient, schema: int | str, form: str | None) -> Schema:
    return client.get_schema_by_guid(schema, form) if isinstance(schema, str) else client.get_schema(schema, fmt=form)


def _add_references(client: SchemaRegistryClient, schema: Schema, form: str | None, found: dict[str, str]) -> None:
    """Add the texts of the schemas that *schema* refers to, and that those refer to."""
    references: list[Any] = schema.references or []
    for each in references:
        if each.name in found:
            continue
        if len(found) >= _MOST_REFERENCES:
            raise DecodeError(Reason.NOT_OF_SCHEMA, f"the schema refers to more than {_MOST_REFERENCES} others")
        other = client.get_version(each.subject, each.version, deleted=True, fmt=form).schema
        found[each.name] = other.schema_str or ""
        _add_references(client, other, form, found)


def _unavailable(config: RegistryConfig, error: Exception) -> RegistryUnavailableError:
    said = " ".join(str(error).split()) or type(error).__name__
    return RegistryUnavailableError(config.hide(f"the schema registry at {config.url} does not answer: {said}"))
