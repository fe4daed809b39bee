"""The page through which a person sees and moves the control of a running daemon.

`GET /control` shows, to whoever may reach the port: it holds nothing secret, as little as the metrics do. `POST
/control` moves, and takes a token: without one in the settings nobody may, so a port that was opened for the
metrics gives nothing away. The token travels in the clear as all of these pages do; beyond the machine itself put
something that speaks TLS in between.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from typing import Protocol

import msgspec
from aiohttp import web

from subscriber.control.overrides import Command, CommandError, command_from
from subscriber.control.status import ControlStatus
from subscriber.observe.log import get_logger

_BODY_SECONDS = 5.0
"""A command is a line of JSON: whoever takes longer to send it is not sending one."""

_NOT_AT_WORK = "the line is not at work: the daemon is starting or stopping, and /readyz says which"
_NONE_SET = "commands are refused because SUBSCRIBER_CONTROL_TOKEN is not set"
_NOT_IT = "commands take the header Authorization: Bearer, with the value of SUBSCRIBER_CONTROL_TOKEN"

_log = get_logger()


class Controller(Protocol):
    """What the page asks of the regulator."""

    def status(self) -> ControlStatus:
        """All there is to see."""
        ...

    def apply(self, command: Command) -> None:
        """Do it; raises CommandError."""
        ...


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is not answered as hoped."""

    status: int
    text: str


def refusal_of(authorization: str | None, token: str | None) -> Refusal | None:
    """Why a command with this Authorization header is refused, or None.

    The comparison takes as long for a token that is nearly right as for one that is not.
    """
    if token is None:
        return Refusal(403, _NONE_SET)
    scheme, _, given = (authorization or "").partition(" ")
    known = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return None if known and scheme.lower() == "bearer" else Refusal(401, _NOT_IT)


class ControlPage:
    """`/control`, for the server of the pages.

    Args:
        token: what a command must bring; None: commands are refused.
        hands: who shows and obeys now; None while the line is not at work.
    """

    def __init__(self, token: str | None, controller: Callable[[], Controller | None]) -> None:
        self._token = token
        self._controller = controller
        self._refused = 0

    def routes(self) -> tuple[web.RouteDef, ...]:
        """What the server adds to its own."""
        return (web.get("/control", self._show), web.post("/control", self._apply_command))

    async def _show(self, _request: web.Request) -> web.Response:
        controller = self._controller()
        return _shown(controller.status()) if controller else _refused(Refusal(503, _NOT_AT_WORK))

    async def _apply_command(self, request: web.Request) -> web.Response:
        refusal = refusal_of(request.headers.get("Authorization"), self._token)
        if refusal:
            self._tell(refusal, request.remote)
            return _refused(refusal)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                command = command_from(await request.read())
            controller = self._controller()  # only now: the line may have ended while the body came
            if controller is None:
                return _refused(Refusal(503, _NOT_AT_WORK))
            controller.apply(command)
        except TimeoutError:
            return _refused(Refusal(408, f"the command did not come within {_BODY_SECONDS:g} s"))
        except web.HTTPRequestEntityTooLarge:
            return _refused(Refusal(413, "a command is a line of JSON, not so much"))
        except CommandError as error:
            return _refused(Refusal(400, str(error)))
        return _shown(controller.status())

    def _tell(self, refusal: Refusal, remote: str | None) -> None:
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:  # the 1st, 2nd, 4th …: guessing must not fill the log
            _log.warning(
                "control.rejected", status=refusal.status, detail=refusal.text, remote=remote, refused=self._refused
            )


def _shown(status: ControlStatus) -> web.Response:
    return _json(200, msgspec.json.encode(status))


def _refused(refusal: Refusal) -> web.Response:
    response = _json(refusal.status, msgspec.json.encode({"error": refusal.text}))
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(
        status=status, body=body, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
