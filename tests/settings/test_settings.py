"""Settings: an environment becomes values, or one complete list of mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.errors import ConfigurationError, ExitCode
from subscriber.settings.parsers import FILE, TOKEN, Setting
from subscriber.settings.table import Settings, settings_table

REQUIRED = {
    "SUBSCRIBER_QUEUE_URLS": "https://sqs.eu-west-1.amazonaws.com/123456789012/events",
    "SUBSCRIBER_DATABASE_URL": "postgresql://writer:open%20sesame@index.example:5432/lake",
}


def read(**changes: str) -> Settings:
    """Settings from the required variables and some more, named without the prefix."""
    return Settings.from_environment(REQUIRED | {f"SUBSCRIBER_{name}": value for name, value in changes.items()})


def mistakes(**changes: str) -> list[str]:
    """The lines of the error that these variables cause."""
    with pytest.raises(ConfigurationError) as caught:
        read(**changes)
    return str(caught.value).splitlines()


def test_defaults_start() -> None:
    """The two required variables are enough: every default is in its range and every constraint holds."""
    settings = read()
    assert settings.queue_urls == (REQUIRED["SUBSCRIBER_QUEUE_URLS"],)
    assert (settings.batch_max_rows, settings.batch_linger_seconds) == (1000, 0.25)
    assert (settings.stop_timeout_seconds, settings.write_max_concurrency) == (110, 8)


def test_every_printed_default_reads_back() -> None:
    """Setting a variable to its printed default changes nothing."""
    plain = {
        row.variable: row.default
        for row in settings_table()
        if row.default != "required" and " " not in row.default  # a default in words depends on something else
    }
    assert Settings.from_environment(REQUIRED | plain) == read()


def test_every_mistake_is_reported_at_once() -> None:
    """Each wrong variable has its own line with value and range, in the order of the reference."""
    assert mistakes(BATCH_MAX_ROWS="many", HTTP_PORT="70000", LOG_LEVEL="loud", QUEUE_URLS="") == [
        (
            "SUBSCRIBER_QUEUE_URLS is required; it takes http(s) URLs of SQS queues, separated by commas: "
            "at least one, none twice"
        ),
        "SUBSCRIBER_BATCH_MAX_ROWS is 'many': not a valid number; it takes a whole number of rows, 1 to 10000",
        "SUBSCRIBER_HTTP_PORT is '70000': too large; it takes a whole number, 0 to 65535",
        "SUBSCRIBER_LOG_LEVEL is 'loud': not one of its values; it takes one of debug, info, warning, error",
    ]


def test_mistakes_are_configuration_errors() -> None:
    """A mistake exits with the code for configuration."""
    assert ConfigurationError.exit_code is ExitCode.CONFIGURATION
    assert int(ExitCode.CONFIGURATION) == 2


class SettingsWithKeys(Settings, frozen=True, kw_only=True):
    """The settings and two declared secrets more, one of which is no text."""

    api_key: Annotated[str | None, Setting(TOKEN, "A key.", is_secret=True)] = None
    key_file: Annotated[Path | None, Setting(FILE, "A file whose path is secret.", is_secret=True)] = None


def test_a_declared_secret_is_never_shown(tmp_path: Path) -> None:
    """The declaration alone keeps a value out of repr, the mapping for the log, errors and log lines."""
    key_file = tmp_path / "hidden.key"
    key_file.touch()
    keys = {"SUBSCRIBER_API_KEY": "sesame-of-the-api", "SUBSCRIBER_KEY_FILE": str(key_file)}
    settings = SettingsWithKeys.from_environment(REQUIRED | keys | {"SUBSCRIBER_CONTROL_TOKEN": "sesame-control"})
    assert (settings.api_key, settings.key_file) == ("sesame-of-the-api", key_file)
    for text in (repr(settings), str(settings), str(settings.redacted())):
        assert "sesame" not in text
        assert "hidden" not in text
    assert {"sesame-of-the-api", "sesame-control", str(key_file)} <= set(settings.secrets)
    with pytest.raises(ConfigurationError) as caught:
        SettingsWithKeys.from_environment(REQUIRED | {"SUBSCRIBER_API_KEY": "sesame open"})
    assert "sesame" not in str(caught.value)


def test_an_unset_secret_is_shown_as_unset() -> None:
    """Nothing is redacted where there is no value, so that the log shows which secrets are configured."""
    assert read().redacted()["control_token"] is None


def test_unknown_variable_names_the_nearest() -> None:
    """A misspelled variable is a mistake that shows the likely spelling."""
    assert mistakes(BATCH_MAX_ROW="10") == [
        "SUBSCRIBER_BATCH_MAX_ROW is not a setting; the nearest one is SUBSCRIBER_BATCH_MAX_ROWS"
    ]


def test_an_unknown_variable_without_a_similar_one_names_the_list() -> None:
    """The prefix, which all settings share, makes none similar."""
    assert mistakes(XYZZY="10") == ["SUBSCRIBER_XYZZY is not a setting; `subscriber settings` lists them"]


def test_queues_may_be_left_out_where_none_is_called() -> None:
    """Only QUEUE_URLS, and only if it is unset: every other mistake is reported."""
    environment = {"SUBSCRIBER_DATABASE_URL": REQUIRED["SUBSCRIBER_DATABASE_URL"]}
    assert Settings.from_environment(environment, needs_queues=False).queue_urls == ()
    assert Settings.from_environment(REQUIRED, needs_queues=False) == read()
    for wrong, message in (
        ({}, "SUBSCRIBER_DATABASE_URL is required"),
        (environment | {"SUBSCRIBER_QUEUE_URLS": "events"}, "SUBSCRIBER_QUEUE_URLS is 'events'"),
        (environment | {"SUBSCRIBER_HTTP_PORT": "http"}, "SUBSCRIBER_HTTP_PORT is 'http'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            Settings.from_environment(wrong, needs_queues=False)


def test_the_reference_names_the_commands_that_need_queues() -> None:
    """It says that the setting is required, and by which commands."""
    shown = {row.variable: row.default for row in settings_table() if row.default.startswith("required")}
    assert shown == {"SUBSCRIBER_QUEUE_URLS": "required (run, check)", "SUBSCRIBER_DATABASE_URL": "required"}


def test_unknown_variable_counts_even_when_empty() -> None:
    """A misspelled variable is a mistake even if it is empty."""
    assert len(mistakes(LOG_LEVLE="")) == 1


def test_other_and_test_variables_are_ignored() -> None:
    """AWS's variables and those of the test suite may share the environment."""
    others = {"SUBSCRIBER_TEST_KEEP": "1", "AWS_REGION": "eu-west-1", "PATH": "/bin"}
    assert Settings.from_environment(REQUIRED | others) == read()


def test_empty_optional_variable_counts_as_unset() -> None:
    """A compose file may pass an optional variable without a value."""
    assert read(BATCH_MAX_ROWS=" ") == read()


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1_000", "٣", "0x10", "0.5", "1e99"])
def test_odd_numbers_are_rejected(text: str) -> None:
    """A count is a plain whole number within its range, whatever Python would make of the text."""
    assert len(mistakes(BATCH_MAX_ROWS=text)) == 1


@pytest.mark.parametrize("text", ["nan", "-inf", "1_0.5", "60.1", "-0.1"])
def test_odd_fractions_are_rejected(text: str) -> None:
    """A measure is a plain number within its range; NaN is none."""
    assert len(mistakes(BATCH_LINGER_SECONDS=text)) == 1


@pytest.mark.parametrize(
    ("host", "is_good"),
    [
        ("::", True),
        ("0.0.0.0", True),
        ("pages.example", True),
        ("a b", False),
        ("h/x", False),
        ("pages.example:80", False),
        ("127.0.0.1:80", False),
    ],
)
def test_host_to_listen_on_is_an_address_or_a_name(host: str, *, is_good: bool) -> None:
    """A host on which no server could listen is a mistake at start."""
    if is_good:
        assert read(HTTP_HOST=host).http_host == host
    else:
        assert len(mistakes(HTTP_HOST=host)) == 1


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("pages.example:80", "a host with a port; the port has a setting of its own"),
        ("127.0.0.1:80", "a host with a port; the port has a setting of its own"),
        ("[::1]", "an address in brackets; write it without them"),
        ("1:2:3", "not an IPv6 address"),
        ("a..b", "not a host name or address"),
    ],
)
def test_what_is_no_host_is_a_sentence(host: str, problem: str) -> None:
    """The sentence names what is wrong in the operator's words."""
    expects = "it takes an address or a host name to listen on, without a port"
    assert mistakes(HTTP_HOST=host) == [f"SUBSCRIBER_HTTP_HOST is {host!r}: {problem}; {expects}"]


def test_a_file_name_that_is_too_long_is_a_sentence() -> None:
    """It is a mistake of the setting, with the reason of the operating system."""
    (mistake,) = mistakes(DATABASE_CA_FILE="/" + "x" * 5000)
    assert mistake.endswith("x': File name too long; it takes the path of an existing file")


@given(st.floats(min_value=0, max_value=60))
def test_fractions_read_exactly(seconds: float) -> None:
    """A fraction in its range is taken to the last digit."""
    assert read(BATCH_LINGER_SECONDS=repr(seconds)).batch_linger_seconds == seconds


@given(st.text().filter(lambda text: text.strip().lower() not in {"", "debug", "info", "warning", "error"}))
def test_any_text_gives_a_value_or_one_line(text: str) -> None:
    """Whatever the text, reading it succeeds or fails with one line per mistake."""
    assert len(mistakes(LOG_LEVEL=text)) == 1


def test_words_are_read_in_any_case() -> None:
    """INFO and info are the same level."""
    assert read(LOG_LEVEL="WARNING").log_level == "warning"


@pytest.mark.parametrize(
    ("urls", "problem"),
    [
        (",", "it names no queue"),
        ("sqs://a/b", "'sqs://a/b' is not the URL of a queue"),
        ("https://host", "'https://host' is not the URL of a queue"),
        ("http://h/q, http://h/q", "'http://h/q' is listed twice"),
        ("http://[h/q", "Invalid IPv6 URL"),
    ],
)
def test_queue_urls_are_checked(urls: str, problem: str) -> None:
    """Each queue is an http(s) URL with a path, and none is listed twice."""
    (line,) = mistakes(QUEUE_URLS=urls)
    assert line.startswith(f"SUBSCRIBER_QUEUE_URLS is {urls!r}: {problem};")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "arn:aws:sqs:eu-central-1:123456789012:lake-events",
            "its ARN: write https://sqs.eu-central-1.amazonaws.com/123456789012/lake-events",
        ),
        (
            "arn:aws-cn:sqs:cn-north-1:123456789012:lake",
            "its ARN: write https://sqs.cn-north-1.amazonaws.com.cn/123456789012/lake",
        ),
        (
            "arn:aws-eusc:sqs:eusc-de-east-1:123456789012:lake",
            "its ARN: write https://sqs.eusc-de-east-1.amazonaws.eu/123456789012/lake",
        ),
        ("lake-events", "a name: write https://sqs.REGION.amazonaws.com/ACCOUNT/lake-events"),
    ],
)
def test_an_arn_or_a_name_is_answered_with_the_url(text: str, hint: str) -> None:
    """An ARN holds all parts of the URL, a name only the last."""
    (line,) = mistakes(QUEUE_URLS=text)
    assert f"{text!r} is not the URL of a queue but {hint}; it takes" in line
    url = hint.partition("write ")[2]
    assert read(QUEUE_URLS=url).queue_urls == (url,)


def test_queue_urls_keep_their_order() -> None:
    """Several queues are separated by commas and may have spaces around."""
    assert read(QUEUE_URLS=" http://h/b ,http://h/a,").queue_urls == ("http://h/b", "http://h/a")


@pytest.mark.parametrize("schema", ["Lake", "1st", "a-b", "pg_lake", "x" * 64])
def test_schema_is_a_plain_name(schema: str) -> None:
    """A schema name that must be quoted, is truncated or is reserved is rejected."""
    assert len(mistakes(DATABASE_SCHEMA=schema)) == 1


def test_authorities_must_exist(tmp_path: Path) -> None:
    """A missing CA file is a mistake at start, not at the first connection."""
    authorities = tmp_path / "authorities.pem"
    assert "no such file" in mistakes(DATABASE_CA_FILE=str(authorities))[0]
    authorities.touch()
    assert read(DATABASE_CA_FILE=str(authorities)).database_ca_file == authorities


@pytest.mark.parametrize(
    ("changes", "left", "right"),
    [
        ({"WRITE_MIN_CONCURRENCY": "2", "WRITE_MAX_CONCURRENCY": "1"}, "2 = 2", "1"),
        ({"BATCH_MAX_ROWS": "1001"}, "(8 + 2) × 1001 = 10010", "10000"),
        ({"PREFETCH_MESSAGES": "630", "BATCH_MAX_ROWS": "1"}, "64 × 10 = 640", "630"),
        ({"RECEIVE_VISIBILITY_SECONDS": "179"}, "3 × 30 = 90", "89.5"),
        ({"STOP_TIMEOUT_SECONDS": "79"}, "max(20 + 5, 2 × 30) + 20 = 80", "79"),
        (
            {"STOP_TIMEOUT_SECONDS": "44", "WRITE_TIMEOUT_SECONDS": "1"},
            "max(20 + 5, 2 × 1) + 20 = 45",
            "44",
        ),
        (
            {"QUEUE_URLS": "https://q/1/a,https://q/1/b", "PREFETCH_BYTES": "1310719"},
            "2 (queues) × 655360 = 1310720",
            "1310719",
        ),
        (
            {
                "QUEUE_URLS": ",".join(f"https://q/1/{number}" for number in range(4)),
                "PREFETCH_MESSAGES": "39",
                "RECEIVE_MAX_POLLS": "3",
                "BATCH_MAX_ROWS": "1",
            },
            "4 (queues) × 10 = 40",
            "39",
        ),
    ],
)
def test_constraints_are_checked_with_their_numbers(changes: dict[str, str], left: str, right: str) -> None:
    """A broken constraint is one line with the formula and the numbers."""
    (line,) = mistakes(**changes)
    assert f"does not hold: {left} is more than {right};" in line


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        (
            {"BATCH_MAX_ROWS": "1001"},
            (
                "raise SUBSCRIBER_PREFETCH_MESSAGES to 10010, or lower SUBSCRIBER_WRITE_MAX_CONCURRENCY or "
                "lower SUBSCRIBER_BATCH_MAX_ROWS"
            ),
        ),
        (
            {"BATCH_MAX_ROWS": "1001", "WRITE_MAX_CONCURRENCY": "8.5"},
            (
                "raise SUBSCRIBER_PREFETCH_MESSAGES to 10511, or lower SUBSCRIBER_WRITE_MAX_CONCURRENCY or "
                "lower SUBSCRIBER_BATCH_MAX_ROWS"
            ),
        ),
        (
            {"RECEIVE_VISIBILITY_SECONDS": "179"},
            "raise SUBSCRIBER_RECEIVE_VISIBILITY_SECONDS to 180, or lower SUBSCRIBER_WRITE_TIMEOUT_SECONDS",
        ),
        (
            {"QUEUE_URLS": "https://q/1/a,https://q/1/b", "PREFETCH_BYTES": "1310719"},
            "raise SUBSCRIBER_PREFETCH_BYTES to 1310720, or list fewer queues in SUBSCRIBER_QUEUE_URLS",
        ),
        (
            {"WRITE_TIMEOUT_SECONDS": "49"},
            "lower SUBSCRIBER_RECEIVE_WAIT_SECONDS or lower SUBSCRIBER_WRITE_TIMEOUT_SECONDS",
        ),
    ],
)
def test_a_broken_constraint_names_what_to_change(changes: dict[str, str], remedy: str) -> None:
    """It says to which number a setting must be raised, unless that setting accepts none so large."""
    (line,) = mistakes(**changes)
    assert f"; {remedy}: " in line
    bound, found, number = remedy.partition(" to ")
    if found:
        variable = bound.removeprefix("raise SUBSCRIBER_")
        read(**changes | {variable: number.partition(",")[0]})


@pytest.mark.parametrize(
    "changes",
    [
        {"BATCH_MAX_ROWS": "1000", "WRITE_MAX_CONCURRENCY": "8"},
        {"RECEIVE_VISIBILITY_SECONDS": "180"},
        {"STOP_TIMEOUT_SECONDS": "80"},
        {"WRITE_MIN_CONCURRENCY": "0.5", "WRITE_MAX_CONCURRENCY": "0.5"},
    ],
)
def test_constraints_hold_at_their_bound(changes: dict[str, str]) -> None:
    """Equality is enough for every constraint."""
    assert isinstance(read(**changes), Settings)


def test_constraint_on_an_invalid_number_is_not_reported_twice() -> None:
    """A constraint is skipped while one of its numbers is invalid; other constraints are reported."""
    lines = mistakes(BATCH_MAX_ROWS="x", STOP_TIMEOUT_SECONDS="79")
    assert [line.split()[0] for line in lines] == ["SUBSCRIBER_BATCH_MAX_ROWS", "max(SUBSCRIBER_RECEIVE_WAIT_SECONDS"]


@given(st.floats(min_value=0.01, max_value=64), st.integers(1, 10_000))
def test_accepted_settings_leave_room_for_batches(concurrency: float, rows: int) -> None:
    """Whatever is accepted, the batches being written and two more fit the prefetch."""
    try:
        settings = read(WRITE_MAX_CONCURRENCY=repr(concurrency), BATCH_MAX_ROWS=str(rows), WRITE_MIN_CONCURRENCY="0.01")
    except ConfigurationError:
        assert (math.nextafter(concurrency, 99) + 2) * rows > 10_000
    else:
        assert (settings.write_max_concurrency + 2) * settings.batch_max_rows <= settings.prefetch_messages
