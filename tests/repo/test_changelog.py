"""The changelog names the version that the package has."""

from __future__ import annotations

import re
import tomllib

from tests.repo.source import ROOT

_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def test_the_newest_release_is_the_version_of_the_package() -> None:
    """The first heading is Unreleased, and the second has the package's version and a date."""
    headings = [found.groups() for found in _HEADING.finditer((ROOT / "CHANGELOG.md").read_text())]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert headings[0] == ("Unreleased", None)
    assert headings[1][0] == version
    assert all(date for _, date in headings[1:])
