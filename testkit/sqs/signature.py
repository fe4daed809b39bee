"""How SQS names a signature that it refuses."""

from __future__ import annotations

from typing import Final

from testkit.signature import Refusals, SignedService
from testkit.sqs import errors

QUEUE_SERVICE: Final = SignedService(
    "sqs",
    Refusals(
        missing=errors.UNSIGNED_REQUEST.because,
        incomplete=errors.INCOMPLETE_SIGNATURE.because,
        unknown_key=errors.UNKNOWN_ACCESS_KEY.because,
        expired=errors.EXPIRED_TOKEN.because,
        wrong_scope=errors.SIGNATURE_DOES_NOT_MATCH.because,
        mismatch=errors.SIGNATURE_DOES_NOT_MATCH.because,
        # The front end reports a skewed clock as a signature that does not match.
        skewed=errors.SIGNATURE_DOES_NOT_MATCH.because,
    ),
)
