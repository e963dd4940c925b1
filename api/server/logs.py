"""The log: JSON lines on standard error, uvicorn's included, without secrets and without what people wrote."""

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

# Values under these names never leave the process; also where the name only ends so (`access_token`).
_SECRET: Final = re.compile(
    r"(?:^|[_-])(?:token|tokens|passwords?|cookies?|authorization|tickets?|secrets?|secret[_-]keys?|api[_-]?keys?|"
    r"current[_-]?password|new[_-]?password|set[_-]cookie|signature|body|content|text)$",
    re.IGNORECASE,
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_QUERY: Final = re.compile(r"\?[^\s\"'<>]+")
_BEARER: Final = re.compile(r"\b(Bearer|Basic) +[^\s\"',]+", re.IGNORECASE)
# Longer texts are cut: a log line must not be a way to fill the disk.
_MAX_TEXT_LENGTH: Final = 8_192
_MAX_DEPTH: Final = 6
HIDDEN: Final = "[hidden]"


def configure(level: str) -> None:
    """Send structlog's events and the standard library's records to standard error, from `level` on.

    This is the process's one log, so it is set once, by the command that starts.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
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
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=partial(JsonLineLogger, SafeStream(sys.stderr.buffer)),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[StdlibBridge()], level=max(least, logging.INFO), force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # The hub logs requests itself; uvicorn's lines would carry query strings.
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    logging.captureWarnings(True)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines carry `logger: name`; the same as `structlog.get_logger(name)`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def add_logger_name(logger: Any, method: str, event: Event) -> Event:
    """Say which logger it was."""
    if logger is not None and logger.name:
        event["logger"] = logger.name
    return event


def redact(logger: Any, method: str, event: Event) -> Event:
    """Hide what is secret, by the name it stands under, and query strings and bearer tokens wherever they stand."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


def encode(logger: Any, method: str, event: Event) -> bytes:
    """One line of JSON; what JSON does not know is written as its `str`."""
    return msgspec.json.encode(event, enc_hook=_text_of)


def _clean(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    if _is_secret(key):
        return HIDDEN
    if isinstance(value, str):
        return _plain(value)
    if depth == _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {_plain(str(name)): _clean(str(name), inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", inner, depth + 1) for inner in value]
    return _text_of(value)


# Kept: the same dozen names stand in every line.
@lru_cache(maxsize=1_024)
def _is_secret(key: str) -> bool:
    return _SECRET.search(_CAMEL.sub("_", key)) is not None


def _text_of(value: Any) -> str:
    try:
        return _plain(str(value))
    except Exception:  # a log line never breaks what it tells about
        return f"<{type(value).__name__}>"


def _plain(value: str) -> str:
    if "?" in value:
        value = _QUERY.sub("?…", value)
    if "earer" in value or "asic" in value or "EARER" in value:
        value = _BEARER.sub(rf"\1 {HIDDEN}", value)
    # Last, so that no secret loses what it would have been known by; a trace says at its end what went wrong.
    if len(value) > _MAX_TEXT_LENGTH:
        value = f"{value[: _MAX_TEXT_LENGTH // 2]}…{value[-_MAX_TEXT_LENGTH // 2 :]}"
    # A lone surrogate cannot be written as UTF-8.
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


class JsonLineLogger(structlog.BytesLogger):
    """Writes lines, and knows its name."""

    def __init__(self, stream: "SafeStream", name: str = "") -> None:
        super().__init__(stream)  # type: ignore[arg-type]  # write and flush are all it uses
        self.name = name


class StdlibBridge(logging.Handler):
    """Hands the standard library's records to structlog, so that there is one kind of line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record under its own logger's name."""
        try:
            message = record.getMessage()
        except Exception:  # arguments that do not fit the format are the caller's slip, not ours
            message = str(record.msg)
        structlog.get_logger(record.name).log(record.levelno, message, exc_info=record.exc_info)


class SafeStream:
    """A stream whose loss (a closed pipe, a full disk) costs lines and nothing else."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> None:
        """Write, or let it go."""
        with suppress(OSError, ValueError):
            self._stream.write(line)

    def flush(self) -> None:
        """Flush, or let it go."""
        with suppress(OSError, ValueError):
            self._stream.flush()
