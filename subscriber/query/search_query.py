"""What is searched for: a query, the row that is found, and what makes a query invalid. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from subscriber.errors import ConfigurationError
from subscriber.events.key import MAX_BUCKET_BYTES, MAX_KEY_BYTES, is_storable
from subscriber.events.storage import MAX_WORD_BYTES
from subscriber.model import State
from subscriber.query.metadata_terms import parse_term
from subscriber.query.patterns import parse_glob

Order: TypeAlias = Literal["key", "size", "time"]
"""By key ascending; by size, the largest first; by event time, the newest first."""
Moment: TypeAlias = datetime | timedelta
"""A time, or an age before the moment at which a search begins."""

MAX_PATTERN_CHARACTERS: Final = 2048
"""Of a regular expression; a key has 1,024 bytes at most."""
ORDERS: Final[tuple[Order, ...]] = get_args(Order)
_OLDEST: Final = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)


class QueryError(ConfigurationError):
    """A query that cannot be answered; the text is one sentence for its author."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """All conditions hold at once.

    Raises:
        QueryError: a condition can never be met or means nothing.
    """

    bucket: str
    prefix: str = ""
    """Keys begin with this text."""
    suffix: str = ""
    """Keys end with this text."""
    glob: str | None = None
    """What follows the prefix matches this (`patterns.parse_glob`)."""
    regex: str | None = None
    """The key matches this advanced regular expression of PostgreSQL, anywhere unless it is anchored."""
    larger_than_bytes: int | None = None
    smaller_than_bytes: int | None = None
    since: Moment | None = None
    """The row's event is not older."""
    until: Moment | None = None
    """The row's event is older."""
    storage_classes: tuple[str, ...] = ()
    """The storage class is one of these, as S3 names them; a row whose class nobody named has none."""
    where: tuple[str, ...] = ()
    """Conditions on the metadata of each version (`metadata_terms.parse_term`). A version without known metadata meets
    none of them but `!metadata`, not even a negated one."""
    versions: bool = False
    """All versions and delete markers that exist; otherwise only objects, each with its latest version."""
    as_of: Moment | None = None
    """What existed at this moment, by the feature history; None: now."""
    order: Order = "key"
    """Rows without a size, such as delete markers, are left out of an order by size."""
    reverse: bool = False
    """The other way round."""

    def __post_init__(self) -> None:
        _require_texts(self)
        for size in (self.larger_than_bytes, self.smaller_than_bytes):
            if size is not None and not 0 <= size < 1 << 63:
                raise QueryError(f"a size is from 0 to 2^63 - 1 bytes, not {size}")
        for moment in (self.since, self.until, self.as_of):
            if isinstance(moment, datetime) and moment.tzinfo is None:
                raise QueryError(f"{moment.isoformat()} has no zone: write it with +00:00 for UTC")
        if self.as_of is not None and (self.storage_classes or self.where):
            raise QueryError("the history keeps neither storage classes nor metadata: leave them out, or the moment")


class Found(msgspec.Struct, frozen=True):
    """One object, or one version of it."""

    bucket: str
    key: str
    version_id: str
    state: State
    """`present` or `delete_marker`."""
    is_latest: bool
    size_bytes: int | None
    etag: str | None
    event_time: datetime
    """When the event of the row happened: for an object, when it was written last."""
    storage_class: str | None = None
    """None: neither a listing nor an event named it."""


class Looked(msgspec.Struct, frozen=True):
    """What the index knows of a key that was asked for."""

    bucket: str
    key: str
    exists: bool
    version_id: str | None = None
    size_bytes: int | None = None
    etag: str | None = None
    event_time: datetime | None = None


def at(moment: Moment, now: datetime) -> datetime:
    """A moment as a time; an age that reaches further back than dates do is the first of them."""
    if isinstance(moment, datetime):
        return moment
    return now - moment if moment < now - _OLDEST else _OLDEST


def canonical(query: Query) -> dict[str, Any]:
    """The query as plain values, the same for equal queries in any process."""
    values = msgspec.structs.asdict(query)
    where = sorted(set(values.pop("where")))
    values |= {"where": where} if where else {}
    for name in ("storage_classes", "as_of"):
        if not values[name]:
            del values[name]  # as in the tokens of releases that did not know them
    for name in ("since", "until", "as_of"):
        moment = values.get(name)
        if isinstance(moment, datetime):
            values[name] = moment.astimezone(UTC).isoformat()
        elif moment is not None:
            values[name] = f"{moment.total_seconds():g} s ago"
    return values


def _require_texts(query: Query) -> None:
    if not query.bucket or not is_storable(query.bucket, MAX_BUCKET_BYTES):
        raise QueryError(f"{query.bucket!r} is not the name of a bucket")
    for name, text in (("prefix", query.prefix), ("suffix", query.suffix), ("glob", query.glob or "")):
        if not is_storable(text, MAX_KEY_BYTES):
            raise QueryError(f"the {name} fits no key: it has more than {MAX_KEY_BYTES} bytes, a NUL or a surrogate")
    if not is_storable(query.regex or "", 4 * MAX_PATTERN_CHARACTERS) or query.regex == "":
        raise QueryError(f"the regular expression has no character, a NUL, or more than {MAX_PATTERN_CHARACTERS}")
    if not all(name and is_storable(name, MAX_WORD_BYTES) for name in query.storage_classes):
        raise QueryError("a storage class is a word such as STANDARD or GLACIER")
    if query.order not in ORDERS:
        raise QueryError(f"there is no order by {query.order}: write {', '.join(ORDERS)}")
    try:
        parse_glob(query.glob or "")
    except ValueError as error:
        raise QueryError(f"the glob {query.glob!r} is invalid: {error}") from None
    for text in query.where:
        try:
            parse_term(text)
        except ValueError as error:
            raise QueryError(f"the condition {text!r} is invalid: {error}") from None
