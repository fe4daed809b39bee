"""The server side of botocore's service models: parses requests and serializes responses.

A botocore client serializes requests and parses responses by the model of the service. This module uses the same
models in the other direction, so that a request or a response of a shape that the service does not have is an error.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from botocore.model import OperationModel, ServiceModel
from botocore.session import get_session
from botocore.validate import ParamValidator

Parameters: TypeAlias = dict[str, Any]

_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "boolean": lambda text: text == "true",
    "double": float,
    "float": float,
    "integer": int,
    "long": int,
}


class ShapeError(Exception):
    """A request or a response does not conform to the service's model."""


@functools.cache
def service_model(service: str) -> ServiceModel:
    """The model of a service, by the name of botocore's client."""
    return get_session().get_service_model(service)


def parameters_in(operation: OperationModel, body: bytes) -> Parameters:
    """The parameters of a request.

    Raises:
        ShapeError: the request does not conform to the model.
    """
    protocol = operation.service_model.resolved_protocol
    if protocol == "json":
        parameters: Parameters = json.loads(body or b"{}")
    elif protocol in {"query", "ec2"}:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        for name in ("Action", "Version"):
            form.pop(name, None)
        parameters = _structure(operation.input_shape, form, "", is_ec2=protocol == "ec2")
        if form:
            raise ShapeError(f"{operation.name} knows no parameters {sorted(form)}")
    else:
        raise ShapeError(f"the protocol {protocol} is not implemented")
    _require(operation.input_shape, parameters, f"the request {operation.name}")
    return parameters


def answer_body(operation: OperationModel, answer: Mapping[str, Any], request_id: str) -> bytes:
    """A response as the service would write it. None stands for a number that is null, as some services write it.

    Raises:
        ShapeError: the response does not conform to the model.
    """
    _require(operation.output_shape, _without_nulls(answer), f"the answer of {operation.name}")
    if operation.service_model.resolved_protocol == "json":
        return json.dumps(answer, default=_epoch).encode()
    root = ET.Element(f"{operation.name}Response")
    wrapper = operation.output_shape.serialization.get("resultWrapper")
    _write(root if wrapper is None else ET.SubElement(root, wrapper), operation.output_shape, answer)
    if wrapper is None:
        ET.SubElement(root, "requestId").text = request_id
    else:
        ET.SubElement(ET.SubElement(root, "ResponseMetadata"), "RequestId").text = request_id
    return bytes(ET.tostring(root))


def fault_body(operation: OperationModel, code: str, message: str, request_id: str) -> bytes:
    """An error response as the service would write it."""
    protocol = operation.service_model.resolved_protocol
    if protocol == "json":
        return json.dumps({"__type": code, "message": message}).encode()
    if protocol == "ec2":
        root = ET.Element("Response")
        error = ET.SubElement(ET.SubElement(root, "Errors"), "Error")
        ET.SubElement(root, "RequestID").text = request_id
    else:
        root = ET.Element("ErrorResponse")
        error = ET.SubElement(root, "Error")
        ET.SubElement(root, "RequestId").text = request_id
    ET.SubElement(error, "Code").text = code
    ET.SubElement(error, "Message").text = message
    return bytes(ET.tostring(root))


def _require(shape: Any, value: object, what: str) -> None:
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise ShapeError(f"{what} does not conform to its model: {report.generate_report()}")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return 0.0 if value is None else value


def _epoch(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise ShapeError(f"{value!r} cannot be written as JSON")


def _structure(shape: Any, form: dict[str, str], prefix: str, *, is_ec2: bool) -> Parameters:
    """A structure of the query protocols; removes its fields from the form."""
    found: Parameters = {}
    for name, member in shape.members.items():
        wire_name = member.serialization.get("name", name)
        value = _field(member, form, f"{prefix}{wire_name}", is_ec2=is_ec2)
        if value is not None:
            found[name] = value
    return found


def _field(shape: Any, form: dict[str, str], path: str, *, is_ec2: bool) -> Any:
    if shape.type_name == "structure":
        return _structure(shape, form, f"{path}.", is_ec2=is_ec2) or None
    if shape.type_name == "list":
        member = "" if is_ec2 or shape.serialization.get("flattened") else _member_name(shape) + "."
        items: list[Any] = []
        while (item := _field(shape.member, form, f"{path}.{member}{len(items) + 1}", is_ec2=is_ec2)) is not None:
            items.append(item)
        return items or None
    text = form.pop(path, None)
    if text is None:
        return None
    return _SCALARS.get(shape.type_name, str)(text)


def _member_name(shape: Any) -> str:
    return str(shape.member.serialization.get("name", "member"))


def _write(element: ET.Element, shape: Any, value: Any) -> None:
    if shape.type_name == "structure":
        for name, each in value.items():
            member = shape.members[name]
            _write(ET.SubElement(element, member.serialization.get("name", name)), member, each)
    elif shape.type_name == "list":
        item = "item" if shape.member.serialization.get("name") is None else shape.member.serialization["name"]
        for each in value:
            _write(ET.SubElement(element, item), shape.member, each)
    else:
        element.text = str(value).lower() if isinstance(value, bool) else str(value)
