"""A client of a running daemon's control API, the one that `subscriber control` uses."""

from __future__ import annotations

import time
from typing import Final

from subscriber.admin.client import address_of, ask
from subscriber.control.status import ControlStatus
from subscriber.errors import ConfigurationError, DaemonError
from testkit.daemon import DaemonProcess
from testkit.process import ProcessError

TOKEN: Final = "bench-control-token"
SENSOR_SECONDS: Final = 30.0
_LOOK_SECONDS = 0.1
SETTINGS: Final = {"SUBSCRIBER_CONTROL_TOKEN": TOKEN}


class ControlClient:
    """Overrides the limit of one daemon, which was started with SETTINGS."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon
        self.fixed: float | None = None
        """The limit that was set last; None: the governor decides."""
        self._address = address_of("127.0.0.1", int(daemon.wait_for("http.listening")["port"]))

    def status(self) -> ControlStatus:
        """The daemon's control status.

        Raises:
            ProcessError: the daemon does not respond.
        """
        return self._ask(None)

    def wait_for_sensor(self) -> None:
        """Waits for the first reading of the sensor; a daemon that has just started has none yet.

        Raises:
            ProcessError: there is no reading in time.
        """
        deadline = time.monotonic() + SENSOR_SECONDS
        while (reading := self.status().reading) is None or reading.load is None:
            if time.monotonic() > deadline:
                raise ProcessError(f"the sensor gives no reading\n{self._daemon.log_tail()}")
            time.sleep(_LOOK_SECONDS)

    def fix(self, limit: float) -> None:
        """Fixes the limit, within the daemon's bounds."""
        status = self.status()
        within = min(status.limit_at_most, max(status.limit_at_least, limit))
        self._ask({"mode": "limit", "limit": within})
        self.fixed = limit

    def release(self) -> None:
        """Returns control to the governor, which starts from the limit in force."""
        self._ask({"mode": "auto"})
        self.fixed = None

    def _ask(self, command: dict[str, object] | None) -> ControlStatus:
        try:
            return ask(self._address, TOKEN, command)
        except (ConfigurationError, DaemonError) as error:
            raise ProcessError(f"{error}\n{self._daemon.log_tail()}") from error
