"""Bodies that are not JSON, or JSON that a parser must give up: cut, deeply nested or with extreme numbers."""

from __future__ import annotations

from collections.abc import Iterator

from subscriber.events.rejection import MALFORMED_RECORD, NOT_JSON, UNKNOWN_ENVELOPE
from tests.corpus.case import Case, as_json, meant, with_literal
from tests.events.samples import body, record

_DEEP = 100_000
_CUT_EVERY = 23


def texts() -> Iterator[Case]:
    """All cases about the text of a body."""
    yield from _no_json()
    yield from _cut()
    yield from _nested()
    yield from _numbers_in_unused_fields()


def _no_json() -> Iterator[Case]:
    bodies = {
        "empty": "",
        "a space": " ",
        "words": "hello, world",
        "XML": "<Records><Record/></Records>",
        "byte order mark": "\ufeff" + body(record()),
        "single quotes": "{'Records': []}",
        "trailing comma": '{"Records": [],}',
        "comment": '{"Records": [] /* none */}',
        "two documents": '{"Records": []}{"Records": []}',
        "text after the end": body(record()) + " x",
        "NaN": '{"Records": [], "x": NaN}',
        "Infinity": '{"Records": [], "x": -Infinity}',
        "hexadecimal number": '{"Records": [], "x": 0xFF}',
        "leading zero": '{"Records": [], "x": 01}',
        "raw control character": '{"Records": [], "x": "a\tb"}',
        "unknown escape": '{"Records": [], "x": "\\q"}',
        "half an escape": '{"Records": [], "x": "\\u12"}',
        "raw NUL": '{"Records": []}\0',
        "raw lone surrogate": '{"Records": [], "x": "\ud800"}',
        "escaped lone high surrogate in a key": body(record(key="a\ud800b")),
        "escaped lone low surrogate in a bucket": body(record(bucket="a\udfffb")),
        "escaped lone surrogate in an unused field": '{"Records": [], "x": "\\udc00\\ud800"}',
        "pickle": "\x80\x04\x95.",
        "base64": "eyJSZWNvcmRzIjogW119",
        "YAML": "Records:\n- eventName: ObjectCreated:Put\n",
        "only a quote": '"',
        "form": "Action=SendMessage&MessageBody=%7B%7D",
    }
    for name, text in bodies.items():
        yield Case(name, text, reason=NOT_JSON)
    for name, text in {
        "null": "null",
        "true": "true",
        "a number": "-0.0e-0",
        "a text": '"{}"',
        "a list": "[{}]",
    }.items():
        yield Case(f"nothing but {name}", text, reason=UNKNOWN_ENVELOPE)


def _cut() -> Iterator[Case]:
    whole = body(record(bucket="cut"))
    for end in range(1, len(whole), _CUT_EVERY):
        yield Case(f"cut after {end} characters", whole[:end], reason=NOT_JSON)


def _nested() -> Iterator[Case]:
    yield Case("open lists without end", "[" * _DEEP, reason=UNKNOWN_ENVELOPE)
    yield Case("open objects without end", '{"x":' * _DEEP, reason=NOT_JSON)
    yield Case("deep in an unused field", f'{{"Records": [], "x": {"[" * _DEEP}{"]" * _DEEP}}}', reason=NOT_JSON)
    yield Case("deep in a record's name", '{"Records": [{"eventName": ' + "[" * _DEEP, reason=NOT_JSON)
    yield Case("deep in wrong records", '{"Records": 5, "x": ' + "[" * _DEEP, reason=NOT_JSON)
    bearable = f"{'[' * 100}{']' * 100}"
    yield Case("bearably deep", with_literal("bearably deep", "other", bearable), (meant("bearably deep"),))


def _numbers_in_unused_fields() -> Iterator[Case]:
    for name, literal in {
        "five thousand digits": "9" * 5000,
        "a power beyond all floats": "1e999999",
        "next to nothing": "-1e-999999",
    }.items():
        yield Case(f"unread {name}", with_literal(f"unread {name}", "other", literal), (meant(f"unread {name}"),))
        yield Case(f"size of {name}", with_literal(f"size of {name}", "size", literal), reason=MALFORMED_RECORD)
    twice = body(record(bucket="Records twice")).replace('"Records"', '"Records": [], "Records"')
    yield Case("Records twice", twice, (meant("Records twice"),))
    yield Case("names in other cases", as_json({"records": [], "RECORDS": []}), reason=UNKNOWN_ENVELOPE)
