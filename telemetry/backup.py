"""A backup's lines: records as JSON, one a line, between a first line that names the format and a last that counts.

    {"sensorline_backup":1,"at_ns":1738324800000000000}
    {"topic":"devices","key":"device/pi-7f3a","headers":{},"value":"{...}"}
    {"topic":"deadletters","key":"pi-7f3a","headers":{...},"base64":"AAE="}
    {"end":{"devices":1,"deadletters":1},"not_rebuilt":0}

`value` is text (the record's bytes as UTF-8) or null (it deletes its key); `base64` stands in its place where the
bytes are no text.  The gateway writes these lines, the command line puts them into a new log.  Pure.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from telemetry.errors import Malformed
from telemetry.ports import TOPICS, Record, Topic

VERSION = 1
_BY_NAME: Mapping[str, Topic] = {topic.name: topic for topic in TOPICS}


def head_line(at_ns: int) -> bytes:
    """The first line; `at_ns` is when the backup began."""
    return orjson.dumps({"sensorline_backup": VERSION, "at_ns": at_ns}) + b"\n"


def record_line(topic: Topic, record: Record) -> bytes:
    """A record's line."""
    line: dict[str, Any] = {"topic": topic.name, "key": record.key, "headers": dict(record.headers)}
    try:
        line["value"] = None if record.value is None else record.value.decode()
    except UnicodeDecodeError:
        line["base64"] = base64.b64encode(record.value or b"").decode()
    return orjson.dumps(line) + b"\n"


def end_line(counts: Mapping[str, int], not_rebuilt: int) -> bytes:
    """The last line: records by topic, and how many accepted batches are not there because the store has no row of them
    (tombstones, and what was expired or pruned whole), in those sessions of which it has any."""
    return orjson.dumps({"end": dict(counts), "not_rebuilt": not_rebuilt}) + b"\n"


def read(lines: Iterable[bytes]) -> Iterator[tuple[Topic, Record]]:
    """The records; raises `Malformed` for what is no backup, is damaged, or has no end.

    What came before the error was given already: read to the end before using anything.
    """
    numbered = enumerate(lines, 1)
    if _json(next(numbered, (1, b""))).get("sensorline_backup") != VERSION:
        raise Malformed(f"this is no Sensorline backup of version {VERSION}")
    counts: dict[str, int] = {}
    ended = False
    for number, line in numbered:
        if ended:
            raise Malformed(f"line {number}: lines follow the backup's end")
        document = _json((number, line))
        if "end" in document:
            ended = True
            _check_counts(document["end"], counts)
            continue
        topic, record = _record(document, number)
        counts[topic.name] = counts.get(topic.name, 0) + 1
        yield topic, record
    if not ended:
        raise Malformed("the backup has no end: it was cut off")


def _check_counts(told: Any, counts: Mapping[str, int]) -> None:
    if told != counts:
        raise Malformed(f"the backup says it holds {told}, and holds {dict(counts)}")


def _json(numbered: tuple[int, bytes]) -> dict[str, Any]:
    number, line = numbered
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as e:
        raise Malformed(f"line {number} of the backup is no JSON: {e}") from e
    if not isinstance(document, dict):
        raise Malformed(f"line {number} of the backup is no object")
    return document


def _record(document: Mapping[str, Any], number: int) -> tuple[Topic, Record]:
    try:
        topic, key, headers = _BY_NAME[document["topic"]], document["key"], document["headers"]
        if "base64" in document:
            value: bytes | None = base64.b64decode(document["base64"], validate=True)
        else:
            text = document["value"]
            value = None if text is None else text.encode()
        are_texts = isinstance(key, str) and all(isinstance(text, str) for text in headers.values())
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error) as e:
        raise Malformed(f"line {number} of the backup is no record: {e!r}") from e
    if not are_texts:
        raise Malformed(f"line {number} of the backup is no record: key and headers are texts")
    return topic, Record(key, value, headers)
