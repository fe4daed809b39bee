"""The variables that Kubernetes sets for its Services, which share our prefix where a Service is named after us.

Source: Kubernetes, "Service", section "Environment variables": {SVCNAME}_SERVICE_HOST, {SVCNAME}_SERVICE_PORT and the
variables of Docker's links. A pod has them for each Service of its namespace.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_HOST = "_SERVICE_HOST"
_REST = re.compile(r"_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?")


def service_variables(names: Collection[str]) -> Mapping[str, str]:
    """Those of `names` that Kubernetes has set, each with the name of its Service.

    A Service always has its host among them: without it SUBSCRIBER_PORT is a misspelled setting.
    """
    services = [name.removesuffix(_HOST) for name in names if name.endswith(_HOST)]
    return {
        name: service.lower().replace("_", "-")
        for name in names
        for service in services
        if name.startswith(service) and _REST.fullmatch(name.removeprefix(service))
    }
