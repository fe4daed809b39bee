"""The error responses of the emulator, in the shapes that a client of the real service expects.

The JSON protocol names the fault in the body (`__type`). The header `x-amzn-query-error` repeats the code of the older
query protocol: botocore returns that one as `Code` and the first as `QueryErrorCode` (botocore/parsers.py, trait
`awsQueryCompatible`). The modeled shapes are those of botocore's model `sqs/2012-11-05`; the others belong to the
front end that all AWS services share.
"""

from __future__ import annotations

import msgspec

SERVICE = "com.amazonaws.sqs#"
FRONT = "com.amazon.coral.service#"
LEGACY = "AWS.SimpleQueueService."


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One kind of error response."""

    shape: str
    """The value of `__type`, with its namespace."""
    query_code: str
    """Its code in the older protocol; also the `Code` of a failed entry of a batch."""
    status: int = 400

    def because(self, message: str) -> RejectedError:
        """The exception to raise, with a message for the caller."""
        return RejectedError(self, message)


class RejectedError(Exception):
    """The request, or one entry of a batch, is answered with a fault."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message


def _modeled(name: str, query_code: str = "", status: int = 400) -> Fault:
    return Fault(SERVICE + name, query_code or LEGACY + name, status)


QUEUE_DOES_NOT_EXIST = _modeled("QueueDoesNotExist", LEGACY + "NonExistentQueue")
QUEUE_NAME_EXISTS = _modeled("QueueNameExists", "QueueAlreadyExists")
QUEUE_DELETED_RECENTLY = _modeled("QueueDeletedRecently")
PURGE_QUEUE_IN_PROGRESS = _modeled("PurgeQueueInProgress", status=403)
INVALID_ATTRIBUTE_NAME = _modeled("InvalidAttributeName", "InvalidAttributeName")
INVALID_ATTRIBUTE_VALUE = _modeled("InvalidAttributeValue", "InvalidAttributeValue")
INVALID_MESSAGE_CONTENTS = _modeled("InvalidMessageContents", "InvalidMessageContents")
RECEIPT_HANDLE_IS_INVALID = _modeled("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404)
MESSAGE_NOT_IN_FLIGHT = _modeled("MessageNotInflight")
OVER_LIMIT = _modeled("OverLimit", "OverLimit", 403)
UNSUPPORTED_OPERATION = _modeled("UnsupportedOperation")
RESOURCE_NOT_FOUND = _modeled("ResourceNotFoundException", "ResourceNotFoundException", 404)
EMPTY_BATCH = _modeled("EmptyBatchRequest")
TOO_MANY_ENTRIES = _modeled("TooManyEntriesInBatchRequest")
ENTRY_IDS_NOT_DISTINCT = _modeled("BatchEntryIdsNotDistinct")
INVALID_ENTRY_ID = _modeled("InvalidBatchEntryId")
BATCH_TOO_LONG = _modeled("BatchRequestTooLong")

INVALID_PARAMETER = Fault(FRONT + "InvalidParameterValueException", "InvalidParameterValue")
MISSING_PARAMETER = Fault(FRONT + "MissingRequiredParameterException", "MissingParameter")
MALFORMED_INPUT = Fault(FRONT + "SerializationException", "MalformedInput")
UNKNOWN_OPERATION = Fault(FRONT + "UnknownOperationException", "InvalidAction")
REQUEST_TOO_LARGE = Fault(FRONT + "RequestEntityTooLargeException", "RequestEntityTooLarge", 413)
INTERNAL_FAILURE = Fault(FRONT + "InternalFailure", "InternalFailure", 500)
SERVICE_UNAVAILABLE = Fault(FRONT + "ServiceUnavailableException", "ServiceUnavailable", 503)
REQUEST_THROTTLED = _modeled("RequestThrottled", "RequestThrottled", 403)
EXPIRED_TOKEN = Fault(FRONT + "ExpiredTokenException", "ExpiredToken", 403)

SIGNATURE_DOES_NOT_MATCH = Fault(FRONT + "InvalidSignatureException", "SignatureDoesNotMatch", 403)
UNKNOWN_ACCESS_KEY = Fault(FRONT + "UnrecognizedClientException", "InvalidClientTokenId", 403)
UNSIGNED_REQUEST = Fault(FRONT + "MissingAuthenticationTokenException", "MissingAuthenticationToken", 403)
INCOMPLETE_SIGNATURE = Fault(FRONT + "IncompleteSignatureException", "IncompleteSignature")


class _FaultBody(msgspec.Struct, gc=False):
    type: str = msgspec.field(name="__type")
    message: str


def fault_body(error: RejectedError) -> bytes:
    """The JSON body of the error response."""
    return msgspec.json.encode(_FaultBody(error.fault.shape, error.message))


def query_error(fault: Fault) -> str:
    """The value of the header `x-amzn-query-error`: the older code, and `Sender` or `Receiver`."""
    return f"{fault.query_code};{'Receiver' if fault.status >= 500 else 'Sender'}"
