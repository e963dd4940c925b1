"""Maps domain errors to RFC 9457 problem responses."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from services.errors import DomainError, PaymentsFrozen, RateLimited

STATUS_BY_CODE: Mapping[str, int] = {
    "BID_NOT_FOUND": 404,
    "GIG_NOT_FOUND": 404,
    "UNAUTHORIZED": 403,
    "GIG_NOT_OPEN": 400,
    "BID_NOT_PENDING": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "CROSS_ORIGIN": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "INVALID_JSON": 400,
    "INVALID_FIELD": 422,
    "UNKNOWN_FIELD": 422,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "BODY_TOO_LARGE": 413,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "CONFLICT": 409,
    "INSUFFICIENT_FUNDS": 402,
    "RATE_LIMITED": 429,
    "OVERLOADED": 503,
    "STORAGE_UNAVAILABLE": 503,
    "STORAGE_FULL": 507,
    "INTERNAL": 500,
}

# `Retry-After` for OVERLOADED and STORAGE_UNAVAILABLE.
RETRY_AFTER_SECONDS = 1
# `Retry-After` while payments are frozen, which an operator must resolve.
FROZEN_RETRY_AFTER_SECONDS = 60

_encoder = msgspec.json.Encoder()


class UnsupportedMediaType(DomainError):
    """Send the body as application/json in UTF-8."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class BodyTooLarge(DomainError):
    """The body or the head of the request is too large."""

    code = "BODY_TOO_LARGE"

    def __init__(self, limit: int, part: str = "body") -> None:
        super().__init__(f"The {part} is larger than {limit} bytes.", limit=limit)


class MethodNotAllowed(DomainError):
    """This path does not support this method."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, allow: str) -> None:
        super().__init__()
        self.allow = allow


class CrossOrigin(DomainError):
    """A page of another origin may not do this with your cookie."""

    code = "CROSS_ORIGIN"


class Internal(DomainError):
    """Something went wrong on the server. Its log has the details under this requestId."""

    code = "INTERNAL"


def problem_response(error: DomainError, request_id: str) -> Response:
    """Return the response to a request that failed."""
    status = STATUS_BY_CODE[error.code]
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": error.code,
        "message": error.message,
        **error.details,
        "requestId": request_id,
    }
    return Response(
        _encoder.encode(body),
        status_code=status,
        headers=_headers(error, status),
        media_type="application/problem+json",
    )


def _headers(error: DomainError, status: int) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    if isinstance(error, RateLimited):
        name = f'"{error.details["limit"]}"'
        headers["retry-after"] = str(max(1, round(error.retry_after)))
        headers["ratelimit"] = f"{name};r={error.remaining};t={max(1, round(error.retry_after))}"
        headers["ratelimit-policy"] = f"{name};q={error.count};w={round(error.window)}"
    elif isinstance(error, MethodNotAllowed):
        headers["allow"] = error.allow
    elif isinstance(error, PaymentsFrozen):
        headers["retry-after"] = str(FROZEN_RETRY_AFTER_SECONDS)
    elif status == 503:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    elif status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers
