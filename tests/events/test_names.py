"""Names: which events make a row, which are ignored, and which are rejected."""

from __future__ import annotations

import pytest
from botocore.loaders import Loader

from subscriber.events import rejection
from subscriber.events.names import IGNORED, IGNORED_FAMILIES, STATES, TEST_EVENT, ignored_label, state_of
from subscriber.model import Rejection
from tests.events.samples import body, decoded, event_of, reason_of, record


def test_every_name_of_the_s3_api_is_known() -> None:
    """Every name in the S3 API's own list of events is either of a row or ignored."""
    enum = Loader().load_service_model("s3", "service-2")["shapes"]["Event"]["enum"]
    names = {name.removeprefix("s3:") for name in enum if not name.endswith("*")}
    assert names <= STATES.keys() | IGNORED


@pytest.mark.parametrize("name", ["ObjectRestore:Delete", "ObjectTagging:Delete", "ObjectAnnotation:Delete"])
def test_deletions_of_something_else(name: str) -> None:
    """The end of a temporary copy, of tags or of an annotation removes no object."""
    assert state_of(name) is None
    assert ignored_label(name) == name


@pytest.mark.parametrize("name", ["LifecycleExpiration:Delete", "LifecycleExpiration:DeleteMarkerCreated"])
def test_lifecycle_removes_too(name: str) -> None:
    """Lifecycle has its own names for removals."""
    assert state_of(name) == STATES[f"ObjectRemoved:{name.partition(':')[2]}"]


@pytest.mark.parametrize(
    "name",
    [
        "ObjectFrozen:Put",
        "",
        "objectcreated:put",
        "x" * 10_000,
        "ObjectTagging",
        "ObjectTaggingPut",
        "PutObject",
        "DeleteObject",
        "ObjectDeleted:Delete",
        "ObjectRenamed:Rename",
        "ObjectLifecycle:Expiration:Current",
        "ObjectSynced:Create",
        "Replication:Create",
        "BucketRemoved:*",
    ],
)
@pytest.mark.parametrize("changes", [{}, {"size": "of another type"}])
def test_unknown_names(name: str, changes: dict[str, str]) -> None:
    """A name that is not known to say nothing about existence is rejected, whatever the other fields are."""
    delivery = decoded(body(record(event_name=name, **changes)))
    detail = f"no rule for the event {rejection.quoted(name)}"
    assert (delivery.events, delivery.ignored, delivery.unknown) == ((), (), (detail,))
    assert delivery.rejection == Rejection(rejection.UNKNOWN_EVENT, detail)


@pytest.mark.parametrize("family", IGNORED_FAMILIES)
def test_a_new_member_of_an_ignored_family(family: str) -> None:
    """A family that says nothing about existence may get members; they are counted under one label."""
    delivery = decoded(body(record(event_name=f"s3:{family}{'x' * 10_000}")))
    assert (delivery.rejection, delivery.ignored) == (None, (f"{family}*",))


def test_a_test_event_as_a_record() -> None:
    """Its name keeps the prefix, as in the body that S3 sends."""
    assert decoded(body(record(event_name=TEST_EVENT))).ignored == (TEST_EVENT,)


@pytest.mark.parametrize("count", [1, 500])
def test_each_unknown_name_is_told_once(count: int) -> None:
    """A delivery tells each name once, in order, and not thousands of them."""
    records = [record(event_name=f"New:{number}") for number in range(count)]
    told = decoded(body(record(size=-1), *records, *records)).unknown
    assert told == tuple(f"no rule for the event 'New:{number}'" for number in range(min(count, 10)))


def test_a_new_kind_of_creation() -> None:
    """Any ObjectCreated is a creation, as S3 defines the family."""
    event = event_of(body(record(event_name="ObjectCreated:Rename")))
    assert (event.state, event.event_name) == ("present", "ObjectCreated:Rename")


@pytest.mark.parametrize(
    "name",
    [
        "ObjectRemoved:Rename",
        "LifecycleExpiration:",
        "ObjectCreated:" + "x" * 60,
        "ObjectCreated:\0",
        "ObjectCreated:ü",
    ],
)
def test_an_unknown_creation_or_removal(name: str) -> None:
    """An unknown creation or removal is rejected."""
    assert reason_of(body(record(event_name=name))) == rejection.UNKNOWN_EVENT


def test_prefixed_name() -> None:
    """The prefix that some stores send is dropped."""
    assert event_of(body(record(event_name="s3:ObjectCreated:Put"))).event_name == "ObjectCreated:Put"
    assert decoded(body(record(event_name="s3:ObjectAcl:Put"))).ignored == ("ObjectAcl:Put",)


def test_reasons_are_a_closed_list() -> None:
    """Reasons are fit for a metric label."""
    assert all(reason.isidentifier() and reason.islower() for reason in rejection.REASONS)
