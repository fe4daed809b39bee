"""The operator's hands on a running daemon: its control page, as `subscriber control` uses it."""

from __future__ import annotations

import time
from typing import Final

from subscriber.admin.client import address_of, ask
from subscriber.control.status import ControlStatus
from subscriber.errors import ConfigurationError, DaemonError
from testkit.daemon import DaemonProcess
from testkit.process import PartError

TOKEN: Final = "bench-control-token"
SENSOR_SECONDS: Final = 30.0
_LOOK_SECONDS = 0.1
SETTINGS: Final = {"SUBSCRIBER_CONTROL_TOKEN": TOKEN}


class Controller:
    """Of one daemon, which was started with SETTINGS."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon
        self.fixed: float | None = None
        """The limit that was set last."""
        self._address = address_of("127.0.0.1", int(daemon.wait_for("http.listening")["port"]))

    def status(self) -> ControlStatus:
        """What the page shows.

        Raises:
            PartError: the daemon does not answer.
        """
        return self._ask(None)

    def wait_for_sensor(self) -> None:
        """Until the sensor has spoken: a daemon that has just been started has yet to find it.

        Raises:
            PartError: it does not in good time.
        """
        deadline = time.monotonic() + SENSOR_SECONDS
        while (reading := self.status().reading) is None or reading.load is None:
            if time.monotonic() > deadline:
                raise PartError(f"the sensor says nothing\n{self._daemon.log_tail()}")
            time.sleep(_LOOK_SECONDS)

    def fix(self, limit: float) -> None:
        """From now on this limit, within the daemon's bounds, and no other."""
        status = self.status()
        within = min(status.limit_at_most, max(status.limit_at_least, limit))
        self._ask({"mode": "limit", "limit": within})
        self.fixed = limit

    def release(self) -> None:
        """The governor decides again, from the limit in force."""
        self._ask({"mode": "auto"})
        self.fixed = None

    def _ask(self, command: dict[str, object] | None) -> ControlStatus:
        try:
            return ask(self._address, TOKEN, command)
        except (ConfigurationError, DaemonError) as error:
            raise PartError(f"{error}\n{self._daemon.log_tail()}") from error
