"""Domain errors; the class docstring is the default message."""

from typing import Any, ClassVar


class DomainError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.details = details
        super().__init__(self.message)


class BidNotFound(DomainError):
    """Bid not found"""

    code = "BID_NOT_FOUND"


class GigNotFound(DomainError):
    """Gig not found"""

    code = "GIG_NOT_FOUND"


class NotGigOwner(DomainError):
    """Only gig owner can hire"""

    code = "UNAUTHORIZED"


class GigNotOpen(DomainError):
    """Gig is no longer open."""

    code = "GIG_NOT_OPEN"

    def __init__(self, status: str, hired_bid_id: str | None) -> None:
        super().__init__(
            f"Gig is no longer open (status: {status}). Someone else may have already hired a freelancer.",
            currentStatus=status,
            hiredBidId=hired_bid_id,
        )


class BidNotPending(DomainError):
    """Bid is no longer pending"""

    code = "BID_NOT_PENDING"

    def __init__(self, status: str) -> None:
        super().__init__(currentStatus=status)


class Unauthenticated(DomainError):
    """Sign in first, or send a valid token or API key."""

    code = "UNAUTHENTICATED"


class PasswordChanged(Unauthenticated):
    """The password is wrong."""


class Forbidden(DomainError):
    """You may not do this."""

    code = "FORBIDDEN"


class NotFound(DomainError):
    """There is nothing here."""

    code = "NOT_FOUND"


class InvalidJson(DomainError):
    """The body is not valid JSON."""

    code = "INVALID_JSON"


class InvalidField(DomainError):
    """A field has a value that is not allowed.

    `pointer` is an RFC 6901 JSON pointer into the body (or the name of a query parameter), `reason` one of
    type, length, range, unsafe link, control character, lone surrogate, unknown channel, unknown user.
    """

    code = "INVALID_FIELD"

    def __init__(self, pointer: str, reason: str, message: str) -> None:
        super().__init__(message, pointer=pointer, reason=reason)


class UnknownField(DomainError):
    """The request has an unknown field."""

    code = "UNKNOWN_FIELD"

    def __init__(self, pointer: str, message: str | None = None) -> None:
        super().__init__(message, pointer=pointer, reason="unknown field")


class IdempotencyKeyReused(DomainError):
    """This Idempotency-Key was used before with another body."""

    code = "IDEMPOTENCY_KEY_REUSED"


class Conflict(DomainError):
    """The current state does not allow this."""

    code = "CONFLICT"

    def __init__(self, message: str | None = None, *, status: str | None = None) -> None:
        super().__init__(message, currentStatus=status)


class InsufficientFunds(DomainError):
    """The wallet does not contain enough money."""

    code = "INSUFFICIENT_FUNDS"

    def __init__(self, available: int) -> None:
        super().__init__(available=available)


class RateLimited(DomainError):
    """Too many requests in a short time."""

    code = "RATE_LIMITED"

    def __init__(self, limit: str, *, count: int, window: float, remaining: int, retry_after: float) -> None:
        super().__init__(f"Too many {limit}: wait {max(1, round(retry_after))} seconds and try again.", limit=limit)
        self.count = count
        self.window = window
        self.remaining = remaining
        self.retry_after = retry_after


class Overloaded(DomainError):
    """The hub is overloaded. Nothing was written. Repeat the same request with the same key."""

    code = "OVERLOADED"


class StorageUnavailable(DomainError):
    """The store did not respond. It is unknown whether this was written. Repeat it with the same key."""

    code = "STORAGE_UNAVAILABLE"


class PaymentsFrozen(StorageUnavailable):
    """Payments are frozen because the ledger does not balance; an operator must resolve this. Nothing was written."""


class StorageFull(DomainError):
    """The disk is full. Nothing was written. Reads and live streams continue."""

    code = "STORAGE_FULL"


class QuotaExceeded(DomainError):
    """Your attachment quota is full. Delete messages with attachments to free space."""

    code = "BODY_TOO_LARGE"

    def __init__(self, quota: int) -> None:
        super().__init__(quota=quota)


class FileNotAllowed(DomainError):
    """Files of this type cannot be sent, or the content does not match the type."""

    code = "UNSUPPORTED_MEDIA_TYPE"
