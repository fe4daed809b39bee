"""~/.pgpass, as libpq reads it: by the name of the host, though the connection goes to an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from subscriber.adapters.postgres.connection import StoreOptions, connect
from subscriber.adapters.postgres.password_file import Account, password_in, password_of
from subscriber.errors import StoreError
from tests.adapters.postgres.test_addresses import resolve
from tests.adapters.postgres.test_hosts import at, port_of

WRITER = Account("db.example", "5432", "lake", "writer")


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("db.example:5432:lake:writer:secret", "secret"),
        ("*:*:*:*:secret", "secret"),
        ("other:5432:lake:writer:no\ndb.example:*:lake:writer:first\n*:*:*:*:second", "first"),
        ("# *:*:*:*:no\n\n*:*:*:*:secret", "secret"),
        (r"*:*:*:*:a\:b\\c", r"a:b\c"),
        ("*:*:*:*:a:b", "a:b"),
        ("*:*:*:*:", ""),
        (r"db\.example:*:*:*:secret", "secret"),
        ("*:5433:*:*:no", None),
        ("*:*:lake2:*:no", None),
        ("*:*:*:reader:no", None),
        ("127.0.0.1:*:*:*:no", None),
        ("*:*:*", None),
        ("*:*:*:*", None),
        ("\\", None),
        ("", None),
    ],
)
def test_a_line_of_the_file(text: str, password: str | None) -> None:
    """The first line that fits counts; a backslash escapes; what is no line of the file is passed over."""
    assert password_in(text, WRITER) == password


def _file(folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
    file = folder / ".pgpass"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL's parameter, else PGPASSFILE, else ~/.pgpass."""
    monkeypatch.delenv("PGPASSFILE", raising=False)
    for name in ("home", "variable", "parameter"):
        (tmp_path / name).mkdir()
        _file(tmp_path / name, f"*:*:*:*:{name}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert password_of(WRITER) == "home"
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "variable" / ".pgpass"))
    assert password_of(WRITER) == "variable"
    assert password_of(WRITER, str(tmp_path / "parameter" / ".pgpass")) == "parameter"


@pytest.mark.parametrize(("text", "mode"), [("*:*:*:*:no", 0o640), ("*:*:*:*:no", 0o604), (b"\xff:*:*:*:no", 0o600)])
def test_a_file_that_must_not_be_used(tmp_path: Path, text: str | bytes, mode: int) -> None:
    """Others can read it, or it is no text."""
    assert password_of(WRITER, str(_file(tmp_path, text, mode))) is None


def test_no_file(tmp_path: Path) -> None:
    """It may be missing, or a folder."""
    assert password_of(WRITER, str(tmp_path / "missing")) is None
    assert password_of(WRITER, str(tmp_path)) is None


async def test_a_name_in_the_file(store_options: StoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real server accepts the password of the name; a password in the URL has priority."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    login, _, _ = store_options.url.rpartition("@")
    user, _, password = login.removeprefix("postgresql://").partition(":")
    port = port_of(store_options.url)
    resolve(monkeypatch, "writer.test", ["127.0.0.1"])
    monkeypatch.setenv("PGPASSFILE", str(_file(tmp_path, f"writer.test:{port}:postgres:{user}:{password}")))
    named = at(store_options, f"writer.test:{port}")
    without = StoreOptions(url=named.url.replace(f":{password}@", "@"), tls="disable")
    await (await connect(without, None)).close()
    wrong = StoreOptions(url=named.url.replace(f":{password}@", ":wrong@"), tls="disable")
    with pytest.raises(StoreError, match="28P01"):
        await connect(wrong, None)
