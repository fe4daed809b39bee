"""The page is one small file that asks no other host, and its policy allows nothing but its own script and style."""

from __future__ import annotations

import base64
import hashlib
import re

import aiohttp
from prometheus_client import CollectorRegistry

from subscriber.admin.front_page import page_and_policy
from subscriber.admin.server import AdminServer

PAGE, POLICY = page_and_policy()


def test_the_page_is_one_small_file() -> None:
    """At most 100 KB, without any address but the name of a namespace and relative links."""
    assert len(PAGE.encode()) <= 100_000
    assert set(re.findall(r"https?://[^\s\"']+", PAGE)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"<(?:script|link|img)[^>]* src=", PAGE)


def test_the_policy_has_the_hashes_of_the_page() -> None:
    """Of the one script and the one style; everything else is forbidden."""
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in POLICY
    assert POLICY.startswith("default-src 'none';")
    assert "unsafe" not in POLICY


def test_the_page_has_no_inline_handler_and_writes_text_only() -> None:
    """What comes from outside, such as the name of a queue, never becomes markup."""
    body = PAGE[: PAGE.index("<script>")]
    assert not re.findall(r"\s(?:on[a-z]+|style)=", body)
    assert not re.findall(r"innerHTML\s*=[^=]|outerHTML\s*=|insertAdjacentHTML|document\.write|\beval\(", PAGE)


async def test_a_browser_gets_the_page_with_its_policy() -> None:
    """And nothing in between keeps it."""
    server = AdminServer("127.0.0.1", 0, CollectorRegistry(), dict)
    await server.start()
    headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    url = f"http://127.0.0.1:{server.port}/"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert await answer.text() == PAGE
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Cache-Control"] == "no-store"
    await server.stop()
