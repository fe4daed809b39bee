"""The control page: an operator sees and overrides the control of a running daemon.

`GET /control` answers every client that reaches the port: like the metrics it contains no secret. `POST /control`
changes something and needs a token: without one in the settings every command is rejected, so a port that was opened
for the metrics grants nothing. The token is sent unencrypted, as is every page; beyond the machine itself put a TLS
proxy in between.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable

import msgspec
from aiohttp import web

from subscriber.control.overrides import CommandError, command_from
from subscriber.control.regulator import Regulator
from subscriber.control.status import ControlStatus
from subscriber.flow.backoff import is_power_of_two
from subscriber.observe.log import get_logger

_BODY_SECONDS = 5.0
"""A command is one line of JSON: a client that takes longer to send it is given up."""

_NOT_RUNNING = "the pipeline is not running: the daemon is starting or stopping, and /readyz says which"
_COMMANDS_OFF = "commands are rejected because SUBSCRIBER_CONTROL_TOKEN is not set"
_UNAUTHORIZED = "commands need the header Authorization: Bearer, with the value of SUBSCRIBER_CONTROL_TOKEN"

_log = get_logger()


class Rejection(msgspec.Struct, frozen=True):
    """The HTTP status and the reason of a rejected request."""

    status: int
    text: str


def rejection_of(authorization: str | None, token: str | None) -> Rejection | None:
    """Why a command with this Authorization header is rejected, or None.

    The comparison takes constant time, so that its duration does not reveal how much of a token is right.
    """
    if token is None:
        return Rejection(403, _COMMANDS_OFF)
    scheme, _, given = (authorization or "").partition(" ")
    known = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return None if known and scheme.lower() == "bearer" else Rejection(401, _UNAUTHORIZED)


class ControlPage:
    """`/control`, for the HTTP server.

    Args:
        token: what a command must contain; None: every command is rejected.
        regulator: returns the regulator, or None while the pipeline is not running.
    """

    def __init__(self, token: str | None, regulator: Callable[[], Regulator | None]) -> None:
        self._token = token
        self._regulator = regulator
        self._rejected = 0

    def routes(self) -> tuple[web.RouteDef, ...]:
        """The routes, for the server to add to its own."""
        return (web.get("/control", self._get), web.post("/control", self._post))

    async def _get(self, _request: web.Request) -> web.Response:
        regulator = self._regulator()
        return _status_response(regulator.status()) if regulator else _rejected_response(Rejection(503, _NOT_RUNNING))

    async def _post(self, request: web.Request) -> web.Response:
        rejection = rejection_of(request.headers.get("Authorization"), self._token)
        if rejection:
            self._log_rejection(rejection, request.remote)
            return _rejected_response(rejection)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                command = command_from(await request.read())
            regulator = self._regulator()  # only now: the pipeline may have stopped while the body arrived
            if regulator is None:
                return _rejected_response(Rejection(503, _NOT_RUNNING))
            regulator.apply(command)
        except TimeoutError:
            return _rejected_response(Rejection(408, f"the command did not arrive within {_BODY_SECONDS:g} s"))
        except web.HTTPRequestEntityTooLarge:
            return _rejected_response(Rejection(413, "a command is one line of JSON; this body is too large"))
        except CommandError as error:
            return _rejected_response(Rejection(400, str(error)))
        return _status_response(regulator.status())

    def _log_rejection(self, rejection: Rejection, remote: str | None) -> None:
        self._rejected += 1
        if is_power_of_two(self._rejected):  # guessing tokens must not fill the log
            _log.warning(
                "control.rejected",
                status=rejection.status,
                detail=rejection.text,
                remote=remote,
                rejected=self._rejected,
            )


def _status_response(status: ControlStatus) -> web.Response:
    return _json(200, msgspec.json.encode(status))


def _rejected_response(rejection: Rejection) -> web.Response:
    response = _json(rejection.status, msgspec.json.encode({"error": rejection.text}))
    if rejection.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(
        status=status, body=body + b"\n", content_type="application/json", headers={"Cache-Control": "no-store"}
    )
