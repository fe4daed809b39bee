"""Variables that Kubernetes sets for a Service named after us are no misspelled settings."""

from __future__ import annotations

from tests.settings.test_settings import mistakes, read

SERVICE = {
    "SERVICE_HOST": "10.0.0.11",
    "SERVICE_PORT": "8080",
    "SERVICE_PORT_HTTP": "8080",
    "PORT": "tcp://10.0.0.11:8080",
    "PORT_8080_TCP": "tcp://10.0.0.11:8080",
    "PORT_8080_TCP_PROTO": "tcp",
    "PORT_8080_TCP_PORT": "8080",
    "PORT_8080_TCP_ADDR": "10.0.0.11",
}
"""What Kubernetes sets in each pod for a Service with one port, after the name of the Service."""


def test_variables_of_kubernetes_services_are_no_settings() -> None:
    """A Service named `subscriber`, or one whose name begins so, does not keep the daemon from starting."""
    assert read(**SERVICE, **{f"CONTROL_{name}": value for name, value in SERVICE.items()}) == read()


def test_a_variable_like_those_of_kubernetes_is_misspelled_without_a_service() -> None:
    """Without the host that every Service has, it is the mistake of a person."""
    assert mistakes(PORT="8080") == ["SUBSCRIBER_PORT is not a setting; the nearest one is SUBSCRIBER_HTTP_PORT"]
    assert len(mistakes(**SERVICE, SERVICE_HOSTS="10.0.0.11", PORT_TCP="8080")) == 2


def test_a_service_whose_variable_is_a_setting_is_named() -> None:
    """Kubernetes sets SUBSCRIBER_HTTP_PORT for a Service `subscriber-http`: the sentence says so, with the remedy."""
    (mistake,) = mistakes(**{f"HTTP_{name}": value for name, value in SERVICE.items()})
    assert mistake == (
        "SUBSCRIBER_HTTP_PORT is 'tcp://10.0.0.11:8080': not a valid number; it takes a whole number, 0 to 65535; "
        "Kubernetes sets it for the Service subscriber-http: rename that, or set enableServiceLinks: false in the pod"
    )
