"""Records behind the frame of a schema registry, read without one."""

from stream_rec.core.events import Event, EventDecoder, Forget, Reason
from stream_rec.errors import DecodeError
from stream_rec.transport.decode import Decoded, decode_records
from stream_rec.transport.frames import VALUE_HEADER
from stream_rec.transport.records import AS_RECORDS, Record, Records

FRAME = b"\0\0\0\0\x07"
AVRO = b"\x04s0\x04i1\x80\x80\xa0\xf6\xf4g"
GUID = b"\x01" + bytes(range(16))


def read(*records: Record) -> list[Decoded]:
    """Decode *records* as a topic's."""
    return decode_records(EventDecoder(), Records(list(records), AS_RECORDS)).decoded


def framed(value: bytes, offset: int = 0, **given: object) -> Record:
    return Record(FRAME + value, "clicks", 0, offset, **given)  # type: ignore[arg-type]


def test_json_behind_five_bytes_is_read() -> None:
    """As events, beside bare ones, and also in a list of records as a file gives them."""
    value = b'{"session_id": "s0", "item_id": "i0", "timestamp": 1733000000000}'
    event = Event("s0", "i0", 1733000000000)
    records = [framed(value), Record(value, "clicks", 0, 1), framed(value, 2)]
    assert [event] * 3 == read(*records)
    assert [event] * 3 == decode_records(EventDecoder(), records).decoded


def test_avro_says_which_setting_is_needed() -> None:
    """The reason is one of its own, and the message names the setting and what to install."""
    (found,) = read(framed(AVRO))
    assert isinstance(found, DecodeError)
    assert Reason.NEEDS_REGISTRY == found.reason
    assert "schema 7" in found.message
    assert "--registry http://HOST:PORT" in found.message
    assert "stream-rec[registry]" in found.message


def test_an_id_in_a_header_is_seen() -> None:
    """Avro behind a header needs the registry too; JSON behind one is JSON."""
    value = b'{"session_id": "s0", "item_id": "i0", "timestamp": 1733000000000}'
    headers = ((VALUE_HEADER, GUID),)
    avro, plain, wrong = read(
        Record(AVRO, "clicks", 0, 0, headers=headers),
        Record(value, "clicks", 0, 1, headers=headers),
        Record(b"{}", "clicks", 0, 2, headers=headers),
    )
    assert isinstance(avro, DecodeError)
    assert Reason.NEEDS_REGISTRY == avro.reason
    assert "00010203-0405-0607-0809-0a0b0c0d0e0f" in avro.message
    assert Event("s0", "i0", 1733000000000) == plain
    assert isinstance(wrong, DecodeError)
    assert Reason.MISSING_FIELD == wrong.reason


def test_a_framed_null_is_a_tombstone() -> None:
    """Its key names the session to forget."""
    (found,) = read(framed(b"null", key=b"s0"))
    assert Forget("s0") == found


def test_what_is_wrong_behind_a_frame_is_named() -> None:
    """The reasons of JSON hold there; a record of the frame alone needs the registry to say what it is."""
    missing, broken, short = read(framed(b'{"session_id": "s0"}'), framed(b'{"session_id": '), Record(FRAME, "c", 0, 2))
    assert isinstance(missing, DecodeError)
    assert Reason.MISSING_FIELD == missing.reason
    assert isinstance(broken, DecodeError)
    assert Reason.NOT_JSON == broken.reason
    assert isinstance(short, DecodeError)
