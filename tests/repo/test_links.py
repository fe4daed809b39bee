"""Every relative link and anchor in a Markdown file, and every path that a text names, leads somewhere."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

import pytest

from tests.repo.markdown import anchors, link_targets, slug
from tests.repo.source import ROOT, texts

pytestmark = pytest.mark.usefixtures("untraced")

_EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_LINE_ANCHOR = re.compile(r"L\d+(-L\d+)?")
_PATH = re.compile(r"(?<![\w/.*])(?:benchmarks|config|docs|requirements|subscriber|testkit|tests)/[\w./-]+\.[a-z]+\b")
_NOT_ABOUT_THIS_TREE = ("CHANGELOG.md", "benchmarks/results/", "tests/repo/")
"""They name files of the past, or examples."""


def broken_links(documents: Mapping[str, str], paths: set[str]) -> Iterator[str]:
    """A line for every relative link without a target.

    Args:
        documents: text of all Markdown files, by path.
        paths: all files and folders.
    """
    for path, text in documents.items():
        for number, link in link_targets(text):
            if _EXTERNAL.match(link):
                continue
            name, _, anchor = link.partition("#")
            target = _resolved(path, unquote(name))
            if target not in paths:
                yield f"{path}:{number}: {link}: there is no {target}"
            elif anchor and not _has_anchor(target, anchor, documents):
                yield f"{path}:{number}: {link}: {target} has no anchor #{anchor}"


def missing_paths(documents: Mapping[str, str], paths: set[str]) -> Iterator[str]:
    """A line for every path in a text, a comment or a docstring that does not exist."""
    for path, text in documents.items():
        for number, line in enumerate(text.splitlines(), start=1):
            yield from (f"{path}:{number}: there is no {name}" for name in _PATH.findall(line) if name not in paths)


def _resolved(path: str, name: str) -> str:
    """The path, from the root of the project, that a link in `path` leads to."""
    if not name:
        return path
    if name.startswith("/"):
        return posixpath.normpath(name[1:])
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name))


def _has_anchor(target: str, anchor: str, documents: Mapping[str, str]) -> bool:
    if target in documents:
        return anchor in anchors(documents[target])
    return _LINE_ANCHOR.fullmatch(anchor) is not None


def test_every_relative_link_has_a_target() -> None:
    """Links, images and anchors, in every Markdown file."""
    documents = {path: text for path, text in texts().items() if path.endswith(".md")}
    assert sum(1 for text in documents.values() for _ in link_targets(text)) > 100
    broken = list(broken_links(documents, _paths()))
    assert not broken, "\n".join(broken)


def test_every_named_path_exists() -> None:
    """In documents, code and configuration."""
    documents = {path: text for path, text in texts().items() if not path.startswith(_NOT_ABOUT_THIS_TREE)}
    missing = list(missing_paths(documents, _paths()))
    assert not missing, "\n".join(missing)


def _paths() -> set[str]:
    """All files and folders of the project."""
    tops = [path for path in ROOT.iterdir() if path.name not in {".git", ".lab", ".tools", ".venv"}]
    below = [path for top in tops if top.is_dir() for path in top.rglob("*")]
    return {".", *(str(path.relative_to(ROOT)) for path in (*tops, *below))}


def test_a_missing_path_is_found() -> None:
    """Paths that exist, patterns and longer paths are not reported."""
    text = "see docs/a.md and `testkit/b.py`,\ndocs/c.md, tests/*.py and other/docs/d.md"
    assert list(missing_paths({"x.py": text}, {"docs/c.md"})) == [
        "x.py:1: there is no docs/a.md",
        "x.py:1: there is no testkit/b.py",
    ]


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("[x](missing.md)", "a/page.md:3: missing.md: there is no a/missing.md"),
        ("![x](image.svg)", "a/page.md:3: image.svg: there is no a/image.svg"),
        ("[x](#nowhere)", "a/page.md:3: #nowhere: a/page.md has no anchor #nowhere"),
        ("[x](../README.md#nowhere)", "a/page.md:3: ../README.md#nowhere: README.md has no anchor #nowhere"),
        ('<img alt="x" src="image.png">', "a/page.md:3: image.png: there is no a/image.png"),
        ("[x]: missing.md", "a/page.md:3: missing.md: there is no a/missing.md"),
        ("[x](/missing.md 'title')", "a/page.md:3: /missing.md: there is no missing.md"),
        ("[x](code.py#function)", "a/page.md:3: code.py#function: a/code.py has no anchor #function"),
    ],
)
def test_a_broken_link_is_found(link: str, problem: str) -> None:
    """The report has file, line, link and reason."""
    documents = {"a/page.md": f"# Page\n\n{link}\n", "README.md": "# Project\n"}
    assert list(broken_links(documents, {*documents, "a", "a/code.py"})) == [problem]


@pytest.mark.parametrize(
    "link",
    [
        "[x](#page)",
        "[x](../README.md#the-project)",
        "[x](/README.md)",
        "[x](../a)",
        "[x](code.py#L10-L12)",
        "[x](https://example.com/missing#nowhere)",
        "[x](mailto:someone@example.com)",
        "`[x](missing.md)`",
        "```\n[x](missing.md)\n```",
        "~~~ text\n```\n[x](missing.md)\n~~~",
    ],
)
def test_a_good_link_is_not_reported(link: str) -> None:
    """Neither are external links and links inside of code."""
    documents = {"a/page.md": f"# Page\n\n{link}\n", "README.md": "# The project\n"}
    assert list(broken_links(documents, {*documents, "a", "a/code.py"})) == []


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Runtime controls", "runtime-controls"),
        ("What it costs, and why?", "what-it-costs-and-why"),
        ("`make test` and `snake_case`", "make-test-and-snake_case"),
        ("A *very* **bold** _claim_", "a-very-bold-claim"),
        ("See [the guide](guide.md)", "see-the-guide"),
        ("Load · and – dashes", "load--and--dashes"),
        ("Größe in 日本", "größe-in-日本"),
        ("0.2.0 - 2026-08-02", "020---2026-08-02"),
    ],
)
def test_anchors_follow_githubs_rules(heading: str, anchor: str) -> None:
    """Lower case, without punctuation and markup, with a hyphen for each space."""
    assert slug(heading) == anchor


def test_repeated_headings_are_numbered() -> None:
    """The second heading of the same text gets -1; a heading inside of code is none."""
    assert anchors('# A\n## A\n```\n# B\n```\n# A #\n<a id="here"></a>\n') == {"a", "a-1", "a-2", "here"}
