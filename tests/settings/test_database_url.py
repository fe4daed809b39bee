"""The database URL: whether it is local, what it must not contain, and that its password is never shown."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.settings.database_url import DatabaseUrl
from subscriber.settings.table import Settings
from tests.settings.test_settings import mistakes, read


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///lake?host=/run/postgresql",
        "postgresql://%2Frun%2Fpostgresql/lake",
        "postgres://writer@localhost/lake",
        "postgresql://127.0.0.1:5433,[::1]:5434/lake",
        "postgresql://127.0.0.1/lake?sslmode=disable",
    ],
)
def test_local_database_needs_no_tls(url: str) -> None:
    """If no traffic leaves the machine, TLS is off unless requested."""
    assert read(DATABASE_URL=url).database_tls == "disable"
    without_parameters, _, host = url.partition("?sslmode=disable")[0].partition("?host=")
    asked = read(
        DATABASE_URL=f"{without_parameters}?host={host}" if host else without_parameters, DATABASE_TLS="verify-full"
    )
    assert asked.database_tls == "verify-full"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://me:secret@index.example/lake", "index.example:5432"),
        ("postgresql://me:secret@index.example:6543/lake", "index.example:6543"),
        ("postgresql://[::1]:6543/lake", "[::1]:6543"),
        ("postgresql://a.example,b.example:5433/lake", "a.example, b.example"),
        ("postgresql:///lake?host=/run/postgresql", "/run/postgresql"),
    ],
)
def test_address_tells_where_the_database_is(url: str, address: str) -> None:
    """Host and port as an operator would look for them, without user and password."""
    assert DatabaseUrl.parse(url).address == address


@pytest.mark.parametrize(
    ("url", "database", "password_file", "has_password"),
    [
        ("postgresql://me@index.example/my%20lake", "my lake", "", False),
        ("postgresql://me:secret@index.example/?dbname=lake", "lake", "", True),
        ("postgresql://me@index.example?passfile=/run/pgpass&password=x", "", "/run/pgpass", True),
    ],
)
def test_what_the_password_file_is_compared_with(
    url: str, database: str, password_file: str, *, has_password: bool
) -> None:
    """The path names the database, or a parameter does."""
    parsed = DatabaseUrl.parse(url)
    assert (parsed.database, parsed.password_file, parsed.has_password) == (database, password_file, has_password)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://index.example/lake",
        "postgresql://localhost,index.example/lake",
        "postgresql://index.example/lake?host=localhost",
        "postgresql://localhost.example/lake",
        "postgresql://0.0.0.0/lake",
    ],
)
def test_remote_database_is_verified(url: str) -> None:
    """One host that is not this machine is enough for full verification."""
    assert read(DATABASE_URL=url).database_tls == "verify-full"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://h/lake", "the scheme is neither postgresql nor postgres"),
        ("postgresql:///lake", "it names no host"),
        ("postgresql://h:0/lake", "its port is not a number from 1 to 65535"),
        ("postgresql://u:pa/ss@h/lake", "in a user, password or database name write @ # / ? as %40 %23 %2F %3F"),
        ("postgresql://u:p@ss@h/lake", "in a user, password or database name write @ # / ? as %40 %23 %2F %3F"),
        ("postgresql://u:pa[ss@h/lake", "in a user or password write [ ] as %5B %5D"),
        ("postgresql://u:p]ss@[::1]/lake", "in a user or password write [ ] as %5B %5D"),
        ("postgresql://u:p[as]s@h/lake", "in a user or password write [ ] as %5B %5D"),
        ("postgresql://h/lake?host", "the part after ? is not a list of name=value"),
        ("postgresql://[::1/lake", "its host is malformed"),
        ("postgresql:///lake?host=[::1", "its host has an unclosed bracket"),
    ],
)
def test_url_that_would_be_misread_is_rejected(url: str, problem: str) -> None:
    """A URL that the driver would understand differently is a mistake; the error does not repeat it."""
    (line,) = mistakes(DATABASE_URL=url)
    assert line.startswith(f"SUBSCRIBER_DATABASE_URL: {problem}; it takes ")
    assert url not in line


@pytest.mark.parametrize("parameter", ["sslmode=require", "sslmode=disable", "sslrootcert=/a.pem"])
def test_tls_has_one_place(parameter: str) -> None:
    """A URL that contradicts the TLS setting is rejected, not ignored."""
    (line,) = mistakes(DATABASE_URL=f"postgresql://index.example/lake?{parameter}")
    assert "must not configure TLS" in line


def test_agreeing_sslmode_is_accepted() -> None:
    """A URL may repeat the setting."""
    assert read(DATABASE_URL="postgresql://index.example/lake?sslmode=verify-full").database_tls == "verify-full"


def test_password_is_redacted_everywhere() -> None:
    """Neither repr nor the mapping for the log shows the password; user, host and database stay readable."""
    settings = read(DATABASE_URL="postgresql://writer:open%20sesame@index.example/lake?password=other+one")
    for text in (repr(settings), str(settings), str(settings.redacted())):
        assert "sesame" not in text
        assert "other" not in text
        assert "postgresql://writer:***@index.example/lake?password=***" in text
    assert {"open%20sesame", "open sesame", "other+one", "other one"} < set(settings.secrets)


def test_url_without_password_has_no_secret() -> None:
    """Nothing is redacted in the log."""
    assert read(DATABASE_URL="postgresql:///lake?host=/run/postgresql").secrets == ()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=8))
def test_any_password_is_found_and_redacted(password: str) -> None:
    """Whatever the password, its written and its plain form are known as secrets, and neither is shown."""
    url = DatabaseUrl.parse(f"postgresql://writer:{quote(password, safe='')}@h/lake")
    assert {password, quote(password, safe="")} <= set(url.secrets)
    assert url.shown == "postgresql://writer:***@h/lake"


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_a_discreet_error(text: str) -> None:
    """No text makes parsing fail otherwise than with a sentence that does not repeat it."""
    message = ""
    try:
        DatabaseUrl.parse(f"postgresql://writer:{text}geheimnis@h/lake")
    except ValueError as problem:
        message = str(problem)
    assert "geheimnis" not in message


def test_constructor_redacts_too() -> None:
    """Settings made by hand, as tests do, redact their password too."""
    made = Settings(queue_urls=("http://h/q",), database_url="postgresql://writer:sesame@h/lake")
    assert "sesame" not in repr(made)


@pytest.mark.parametrize(
    ("url", "hosts", "ports"),
    [
        ("postgresql://u@h/lake", ("h",), (None,)),
        ("postgresql://u@h:5433/lake", ("h",), (5433,)),
        ("postgresql://u@a:1,b,[::1]:3/lake", ("a", "b", "::1"), (1, None, 3)),
        ("postgresql://u@a,b/lake?port=7", ("a", "b"), (7, 7)),
        ("postgresql:///lake?host=a,b&port=7,8", ("a", "b"), (7, 8)),
        ("postgresql:///lake?host=/run/x&port=7", ("/run/x",), (7,)),
        ("postgresql://%2Frun%2Fx/lake", ("/run/x",), (None,)),
    ],
)
def test_each_host_has_its_port(url: str, hosts: tuple[str, ...], ports: tuple[int | None, ...]) -> None:
    """Its own, else that of the parameter, else none."""
    parsed = DatabaseUrl.parse(url)
    assert (parsed.hosts, parsed.ports) == (hosts, ports)
    assert parsed.port == (ports[0] or 5432)
