"""Where the catalogue comes from: a file that is checked several times a second, or a topic that is followed.

One thread reads, and makes each version from the last; all others use the newest, which does not change. A version
that cannot be read is rejected, and the old one stays: better yesterday's prices than no shop.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from xxhash import xxh3_128_intdigest

from stream_rec.core.catalogue import Catalogue, CatalogueItem, ReadItem, read_item
from stream_rec.core.events import (
    MAX_ID_CHARS,
    DecodeRules,
    Reason,
    identifier,
    is_empty_envelope,
    key_value,
    named_in,
)
from stream_rec.errors import DecodeError, MissingTopicError, SettingsError, StreamRecError, TransportError
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Broker, Partition, Reader
from stream_rec.transport.files import open_source
from stream_rec.transport.records import Record

__all__ = ["CatalogueFeed", "CatalogueFile", "CatalogueSource", "CatalogueTopic"]

log = logging.getLogger(__name__)

_BATCH: Final = 4096
_LOGGED: Final = 5  # bad records of one reading that are logged one by one

Changes = Mapping[str, CatalogueItem | None]


class CatalogueSource(Protocol):
    """What a feed reads. For one thread."""

    n_bad: int
    """Records that are no items, so far."""

    def load(self) -> Catalogue:
        """Return all that there is now. Raises SettingsError and TransportError."""

    def next(self, last: Catalogue) -> Catalogue:
        """Wait for a moment; return the version after *last*, or *last* itself where nothing has changed.

        Raises StreamRecError for a version that is rejected, with the reason.
        """

    def close(self) -> None:
        """Close what is open. May be called twice."""


class CatalogueFeed:
    """Keeps the newest version of a catalogue. `start` it; any thread may call `current`."""

    def __init__(self, source: CatalogueSource, timeouts: Timeouts = TIMEOUTS) -> None:
        self._source = source
        self._timeouts = timeouts
        self._current: Catalogue | None = None
        self._over = Event()
        self._starting = Lock()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Read what there is, and go on reading, if that was not done. Raises SettingsError and TransportError."""
        with self._starting:
            if self._thread is not None:
                return
            self._current = self._source.load()
            log.info("the catalogue has %s items, %s unavailable", len(self._current), self._current.n_unavailable)
            self._thread = Thread(target=self._follow, name="catalogue", daemon=True)
            self._thread.start()

    def current(self) -> Catalogue:
        """Return the newest version; an empty one before `start`."""
        if self._current is None:
            self._current = Catalogue()
        return self._current

    @property
    def n_bad(self) -> int:
        """Records that were no items, so far."""
        return self._source.n_bad

    def close(self) -> None:
        """End the thread, and close the source."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(self._timeouts.catalogue_retry_s)
        self._source.close()

    def _follow(self) -> None:
        while not self._over.is_set():
            try:
                self._current = self._source.next(self.current())
            except StreamRecError as error:
                log.warning("the catalogue stays as it was: %s", error)
                is_away = isinstance(error, TransportError) and error.retriable
                timeouts = self._timeouts
                self._over.wait(timeouts.catalogue_retry_s if is_away else timeouts.catalogue_every_s)
            except Exception:  # the end of the thread would leave the catalogue as it is for ever
                log.exception("the catalogue stays as it was")
                self._over.wait(self._timeouts.catalogue_retry_s)


class _Signature(NamedTuple):
    """What tells one version of a file from another."""

    modified_ns: int
    size: int
    number: int


class CatalogueFile:
    """A file that is read again each time it changes."""

    def __init__(self, path: str, max_record_bytes: int = 1 << 20, timeouts: Timeouts = TIMEOUTS) -> None:
        self.n_bad = 0
        self._path = path
        self._rules = DecodeRules(max_record_bytes=max_record_bytes)
        self._every_s = timeouts.catalogue_every_s
        self._seen: _Signature | None = None
        self._waiting = Event()
        self._known: dict[int, CatalogueItem] = {}
        """The items of the last reading, by the hash of the line: most lines stay, and reading one takes 5 us."""
        self._has_nameless = False
        """Whether the last reading had records of items that are not known by name."""

    def load(self) -> Catalogue:
        """Read it. Raises SettingsError."""
        self._seen = self._signature()
        try:
            return Catalogue(self._items())
        except TransportError as error:
            raise SettingsError("catalogue", error.message) from error

    def next(self, last: Catalogue) -> Catalogue:
        """Wait for a moment, and read it if it has changed."""
        self._waiting.wait(self._every_s)
        now = self._signature()
        if now is None or now == self._seen:  # a file that is away for a moment is being replaced
            return last
        self._seen = now
        n_bad = self.n_bad
        items = self._items()
        if self._signature() != now:
            self._seen, self.n_bad = None, n_bad
            raise TransportError(f"{self._path} changed while it was read: write it under another name, and rename it")
        if not items and len(last):
            raise SettingsError("catalogue", f"{self._path} holds no items any more")
        if self._has_nameless:
            items = self._with_lost(items, last)
        after = last.replaced(items)
        if after is not last:
            log.info("the catalogue has %s items, %s unavailable", len(after), after.n_unavailable)
        return after

    def close(self) -> None:
        """End the wait of `next`."""
        self._waiting.set()

    def _with_lost(self, items: list[CatalogueItem], last: Catalogue) -> list[CatalogueItem]:
        """Return *items*, and those of *last* that are gone: an unreadable line may be about any of them.

        They keep what was last known, as in a topic: else an item that was sold out would be recommended.
        """
        names = {item.id for item in items}
        lost = [item for item in last if item.id not in names]
        if lost:
            log.warning("%s items of the catalogue are kept as they were, for lines cannot be read", len(lost))
        return items + lost

    def _signature(self) -> _Signature | None:
        try:
            status = Path(self._path).stat()
        except OSError:
            return None
        return _Signature(status.st_mtime_ns, status.st_size, status.st_ino)

    def _items(self) -> list[CatalogueItem]:
        """Return all items of the file. Raises SettingsError where most records are none."""
        items: list[CatalogueItem] = []
        known, self._known = self._known, {}
        n_records, self._has_nameless = 0, False
        bad = _BadRecords(self._path, "line")
        source = open_source(self._path, self._rules, key="catalogue", whole=True)
        try:
            for records in source.batches(_BATCH):
                n_records += len(records)
                for record in records:
                    number = _hash(record)
                    item = known.get(number)
                    if item is None:
                        try:
                            item, fault = _item(record, None)
                        except DecodeError as error:
                            self._has_nameless = True
                            bad.log(record, error)
                            continue
                        if fault is not None:
                            bad.log(record, fault, item.id)
                            items.append(item)  # and not known by its line: the next reading must count it again
                            continue
                    self._known[number] = item
                    items.append(item)
        finally:
            source.close()
            self.n_bad += bad.n
        bad.log_the_rest()
        if bad.n > n_records - bad.n:  # planted bug: broken-catalogue
            message = f"{bad.n} of {n_records} records of {self._path} cannot be read whole; the first: {bad.first}"
            raise SettingsError("catalogue", message)
        return items


class CatalogueTopic:
    """A compacted topic: the last record of a key says what the item is, a record without a value that it is gone."""

    def __init__(self, connect: Callable[[], Broker], topic: str, timeouts: Timeouts = TIMEOUTS) -> None:
        self.n_bad = 0
        self._connect = connect
        self._topic = topic
        self._timeouts = timeouts
        self._broker: Broker | None = None
        self._reader: Reader | None = None
        self._named: dict[bytes, str] = {}
        """By key, the ids of items whose records have another key than their id."""
        self._ends: dict[Partition, int] = {}

    def load(self) -> Catalogue:
        """Read all that the topic holds. Raises SettingsError and TransportError."""
        try:
            return Catalogue(self._all())
        except BaseException:
            self.close()
            raise

    def next(self, last: Catalogue) -> Catalogue:
        """Wait for a moment, and return the catalogue with the changes that came."""
        try:
            if self._reader is None:
                return last.replaced(self._all())
            changes = self._read(self._reader)
        except StreamRecError:
            self.close()
            raise
        return last.changed(changes) if changes else last

    def close(self) -> None:
        """Close the reader and the broker."""
        reader, broker = self._reader, self._broker
        self._reader = self._broker = None
        if reader is not None:
            reader.close()
        if broker is not None:
            broker.close()

    def _all(self) -> Iterable[CatalogueItem]:
        """Read from the beginning to the present end."""
        self._broker = self._connect()
        partitions = self._broker.partitions(self._topic)
        if not partitions:
            raise MissingTopicError(f"catalogue: there is no topic {self._topic!r} at these brokers")
        bounds = self._broker.bounds(partitions)
        open_ends = {each: bound.end for each, bound in bounds.items() if bound.first < bound.end}
        self._reader = self._broker.reader()
        self._reader.assign({each: bound.first for each, bound in bounds.items()})
        self._named.clear()
        found: dict[str, CatalogueItem | None] = {}
        self._ends = {}
        until = monotonic() + self._timeouts.catalogue_load_s
        while any(self._ends.get(each, 0) < end for each, end in open_ends.items() if not self._is_drained(each)):
            changes = self._read(self._reader)
            found.update(changes)
            if changes:
                until = monotonic() + self._timeouts.catalogue_load_s
            elif monotonic() > until:
                raise TransportError(f"the catalogue's topic {self._topic!r} cannot be read to its end", retriable=True)
        return [item for item in found.values() if item is not None]

    def _is_drained(self, partition: Partition) -> bool:
        return self._reader is not None and partition in self._reader.drained

    def _read(self, reader: Reader) -> dict[str, CatalogueItem | None]:
        changes: dict[str, CatalogueItem | None] = {}
        for partition, records in reader.poll(_BATCH, self._timeouts.catalogue_poll_s).items():
            bad = _BadRecords(str(partition), "offset")
            for record in records:
                try:
                    changes.update(self._change(record, bad))
                except DecodeError as error:
                    bad.log(record, error)
            if records:
                self._ends[partition] = records[-1].offset + 1
            bad.log_the_rest()
            self.n_bad += bad.n
        return changes

    def _change(self, record: Record, bad: "_BadRecords") -> Changes:
        key = record.key
        if record.tombstone or (record.row is None and is_empty_envelope(record.value)):
            if key is None:
                raise DecodeError(Reason.MISSING_FIELD, "a record without key and value says nothing")
            return {self._named.pop(key, None) or _text(key): None}
        item, fault = _item(record, None if key is None else _text(key))
        if fault is not None:
            bad.log(record, fault, item.id)
        if key is not None and _text(key) != item.id:
            self._named[key] = item.id
        return {item.id: item}


class _BadRecords:
    """Logs the first bad records of one reading, and counts the rest."""

    def __init__(self, place: str, unit: str) -> None:
        self.n = 0
        self.first = ""
        self._place = place
        self._unit = unit

    def log(self, record: Record, error: DecodeError, item_id: str | None = None) -> None:
        """Note that *record* is no item, or that a field of the item *item_id* cannot be read."""
        self.n += 1
        message = f"{self._unit} {record.offset}: {error.message}"
        self.first = self.first or message
        if self.n > _LOGGED:
            return
        if item_id is None:
            log.warning("the catalogue goes on without %s, %s", self._place, message)
        else:
            log.warning("the catalogue takes what else it can of %r: %s, %s", item_id, self._place, message)

    def log_the_rest(self) -> None:
        """Log how many more there were."""
        if self.n > _LOGGED:
            log.warning("the catalogue has %s more such records of %s", self.n - _LOGGED, self._place)


def _item(record: Record, key: str | None) -> ReadItem:
    """Return the item of *record*. Raises DecodeError if it is not known which one it is."""
    if record.fault is not None:
        raise DecodeError(*record.fault)
    return read_item(_object(record.value) if record.row is None else record.row, key)


def _hash(record: Record) -> int:
    columns = 0 if record.row is None else hash(tuple(record.row))
    return xxh3_128_intdigest(record.value) ^ columns


def _object(value: bytes) -> dict[str, Any]:
    try:
        value.decode()
        found = msgspec.json.decode(value)
    except UnicodeDecodeError as error:
        raise DecodeError(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8 ({error.reason})") from None
    except (ValueError, RecursionError) as error:
        raise DecodeError(Reason.NOT_JSON, str(error)) from None
    if not isinstance(found, dict):
        raise DecodeError(Reason.WRONG_TYPE, "expected a JSON object")
    return found


def _text(key: bytes) -> str:
    """Return the id that *key* names, in one of the forms that `core.events.tombstones` lists. Raises DecodeError."""
    try:
        value = named_in(key_value(key), ("item_id", "id"))
    except UnicodeDecodeError as error:
        raise DecodeError(Reason.NOT_UTF8, f"the key's byte {error.start} is not UTF-8") from None
    if value is None:
        raise DecodeError(Reason.MISSING_FIELD, "the key is an object without id (or item_id)")
    return identifier("the key", value, MAX_ID_CHARS)
