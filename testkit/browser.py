"""A headless Chromium, driven over the Chrome DevTools Protocol by the HTTP client that is here anyway.

Debian's package `chromium` or any Chrome in the PATH will do. The protocol is one WebSocket with JSON messages
(https://chromedevtools.github.io/devtools-protocol/), so no driver of a release of its own is needed.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

START_SECONDS = 60.0
CALL_SECONDS = 30.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_POLL_MS = 50


def browser_program() -> str:
    """The path of a Chromium.

    Raises:
        FileNotFoundError: there is none.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise FileNotFoundError("no Chromium: run `make .lab/.chromium`, or install the package chromium")
    return found


class BrowserError(Exception):
    """A call failed; the text is the browser's."""


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self.problems: list[str] = []
        """What the console and the security policy had to complain about."""

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the protocol; its result.

        Raises:
            BrowserError: the browser rejects it.
        """
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        async with asyncio.timeout(CALL_SECONDS):
            while (message := await self._socket.receive_json()).get("id") != self._calls:
                self._note(message)
        if "error" in message:
            raise BrowserError(f"{method}: {message['error']['message']}")
        return dict(message["result"])

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited.

        Raises:
            BrowserError: it throws.
        """
        result = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise BrowserError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true.

        Raises:
            BrowserError: it was false for twenty seconds.
        """
        script = f"""new Promise((done, fail) => {{
            const end = Date.now() + 20000;
            const test = () => {{ try {{ return {condition}; }} catch {{ return false; }} }};  // the page is loading
            const look = () => {{
                if (test()) done(true);
                else if (Date.now() > end) fail(new Error("never true"));
                else setTimeout(look, {_POLL_MS});
            }};
            look();
        }})"""
        try:
            await self.run(script)
        except BrowserError:
            text = await self.run("document.body.innerText")
            raise BrowserError(f"never true: {condition}; the page says:\n{text}") from None

    async def screenshot(self, width: int, *, is_dark: bool = False) -> bytes:
        """The whole page in this width as PNG."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.resize(width)
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    async def resize(self, width: int, height: int = 900) -> None:
        """Set the size of the window in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Log.entryAdded":
            self.problems.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(message["params"]["exceptionDetails"]))


@asynccontextmanager
async def browser_tab(url: str) -> AsyncIterator[Tab]:
    """A new browser with an empty profile that shows this page; it ends with the block."""
    async with _browser() as process, aiohttp.ClientSession() as session:
        address = await _socket_address(process, session)
        async with session.ws_connect(address, max_msg_size=0) as socket:
            tab = Tab(socket)
            for domain in ("Page", "Runtime", "Log"):
                await tab.call(f"{domain}.enable")
            await tab.call("Page.navigate", url=url)
            yield tab


@asynccontextmanager
async def _browser() -> AsyncIterator[asyncio.subprocess.Process]:
    with TemporaryDirectory(prefix="subscriber-browser-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            browser_program(),
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--remote-debugging-port=0", "--hide-scrollbars", f"--user-data-dir={profile}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _socket_address(process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> str:
    """The address of the first page's WebSocket, from the line that the browser writes when it listens."""
    assert process.stderr is not None
    async with asyncio.timeout(START_SECONDS):
        while b"DevTools listening on " not in (line := await process.stderr.readline()):
            if not line:
                raise BrowserError("the browser ended before it listened")
        host = line.decode().partition("ws://")[2].partition("/")[0]
        async with session.get(f"http://{host}/json/list") as answer:
            pages = [each for each in await answer.json() if each["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])
