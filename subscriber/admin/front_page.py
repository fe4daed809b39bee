"""`/`: the live page for a browser, and for every other client the list of what the server has."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

from aiohttp import web

PATHS = """subscriber
/         the live page, in a browser
/v1/live  its stream: one snapshot a second, as Server-Sent Events
/livez    the event loop answers
/readyz   the pipeline is working, or which condition fails
/metrics  for Prometheus
/control  the concurrency limit, its reason, and the mode
"""


def page_and_policy() -> tuple[str, str]:
    """The page, and the Content-Security-Policy that allows its own script and style by their hashes and nothing else.

    Inline handlers and style attributes are not allowed, and no other host is asked (W3C CSP level 3, section 2.3.1).
    """
    page = resources.files("subscriber.admin").joinpath("live.html").read_text("utf-8")
    script, style = (_hash(re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0]) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class FrontPage:
    """Serves `/`."""

    def __init__(self) -> None:
        self._page, policy = page_and_policy()
        self._headers = {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Vary": "Accept",
        }

    async def get(self, request: web.Request) -> web.Response:
        """HTML for a client that asks for it, as browsers do; text for curl."""
        if "text/html" in request.headers.get("Accept", ""):
            return web.Response(text=self._page, content_type="text/html", headers=self._headers)
        return web.Response(text=PATHS, headers={"Cache-Control": "no-store", "Vary": "Accept"})
