"""Structured logging: JSON lines on standard error, secrets redacted."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, BinaryIO, Final

import msgspec
import structlog

Event = MutableMapping[str, Any]

# Values of keys with these names, or names that end with them (`access_token`), are never logged.
_SECRET: Final = re.compile(
    r"(?:^|[_-])(?:token|tokens|passwords?|cookies?|authorization|tickets?|secrets?|secret[_-]keys?|api[_-]?keys?|"
    r"current[_-]?password|new[_-]?password|set[_-]cookie|signature|body|content|text)$",
    re.IGNORECASE,
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_QUERY: Final = re.compile(r"\?[^\s\"'<>]+")
_BEARER: Final = re.compile(r"\b(Bearer|Basic) +[^\s\"',]+", re.IGNORECASE)
# Longer text is cut, so that a log line cannot fill the disk.
_MAX_TEXT_LENGTH: Final = 8_192
_MAX_DEPTH: Final = 6
HIDDEN: Final = "[hidden]"


def configure(level: str) -> None:
    """Write events of structlog and records of the standard library to standard error, from `level` on.

    The log is global, so a process configures it once, when it starts.
    """
    min_level = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_logger_name,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            encode,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(min_level),
        logger_factory=partial(JsonLineLogger, SafeStream(sys.stderr.buffer)),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[StdlibBridge()], level=max(min_level, logging.INFO), force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # The hub logs requests itself. uvicorn's access log would contain query strings.
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    logging.captureWarnings(True)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose lines contain `logger: name`, as `structlog.get_logger(name)` does."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def add_logger_name(logger: Any, method: str, event: Event) -> Event:
    """Add the name of the logger to the event."""
    if logger is not None and logger.name:
        event["logger"] = logger.name
    return event


def redact(logger: Any, method: str, event: Event) -> Event:
    """Hide the values of secret keys, and query strings and credentials in every text."""
    return {key: _redact_value(key, value, 0) for key, value in event.items()}


def encode(logger: Any, method: str, event: Event) -> bytes:
    """Return the event as one line of JSON; values of other types are written as their `str`."""
    return msgspec.json.encode(event, enc_hook=_text_of)


def _redact_value(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    if _is_secret(key):
        return HIDDEN
    if isinstance(value, str):
        return _redact_text(value)
    if depth == _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {_redact_text(str(name)): _redact_value(str(name), inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value("", inner, depth + 1) for inner in value]
    return _text_of(value)


# Cached, because every line has the same few keys.
@lru_cache(maxsize=1_024)
def _is_secret(key: str) -> bool:
    return _SECRET.search(_CAMEL.sub("_", key)) is not None


def _text_of(value: Any) -> str:
    try:
        return _redact_text(str(value))
    except Exception:  # logging must not break the code that logs
        return f"<{type(value).__name__}>"


def _redact_text(value: str) -> str:
    if "?" in value:
        value = _QUERY.sub("?…", value)
    if "earer" in value or "asic" in value or "EARER" in value:
        value = _BEARER.sub(rf"\1 {HIDDEN}", value)
    # Cut last, so that no secret loses the text that identifies it. The end of a traceback names the error.
    if len(value) > _MAX_TEXT_LENGTH:
        value = f"{value[: _MAX_TEXT_LENGTH // 2]}…{value[-_MAX_TEXT_LENGTH // 2 :]}"
    # A lone surrogate cannot be encoded as UTF-8.
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


class JsonLineLogger(structlog.BytesLogger):
    """Writes lines of JSON; keeps the name of the logger."""

    def __init__(self, stream: "SafeStream", name: str = "") -> None:
        super().__init__(stream)  # type: ignore[arg-type]  # only write and flush are used
        self.name = name


class StdlibBridge(logging.Handler):
    """Passes records of the standard library to structlog, so that all lines have one format."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record with the name of its logger."""
        try:
            message = record.getMessage()
        except Exception:  # the arguments may not match the format
            message = str(record.msg)
        structlog.get_logger(record.name).log(record.levelno, message, exc_info=record.exc_info)


class SafeStream:
    """A stream that ignores write errors (a closed pipe, a full disk); only log lines are lost."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> None:
        """Write the line; ignore errors."""
        with suppress(OSError, ValueError):
            self._stream.write(line)

    def flush(self) -> None:
        """Flush the stream; ignore errors."""
        with suppress(OSError, ValueError):
            self._stream.flush()
