"""Incremental parser of event streams, written from the HTML standard (9.2.6) alone."""

import codecs
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """A dispatched event. `id` is the id of its own block (None: none), `last_event_id` the id a browser stores."""

    type: str
    text: str
    id: str | None
    last_event_id: str
    retry: int | None

    @property
    def data(self) -> Any:
        """The data as JSON."""
        return json.loads(self.text)


@dataclass(slots=True)
class Block:
    """The fields since the last blank line."""

    type: str = ""
    data: list[str] = field(default_factory=list)
    id: str | None = None
    retry: int | None = None


class Parser:
    """Parses bytes that are cut anywhere. An unfinished block at the end is never dispatched."""

    def __init__(self) -> None:
        self.comments: list[str] = []
        self.last_event_id = ""
        self.reconnection_ms: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._after_cr = False
        self._line: list[str] = []
        self._block = Block()

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Return the events that these bytes complete."""
        text = self._decoder.decode(chunk)
        if self._at_start and text:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        events = [self._end_line() for character in text if self._ends_line(character)]
        return [event for event in events if event is not None]

    def _ends_line(self, character: str) -> bool:
        """Return whether this character ends a line: CR or LF, but not the LF of a CR LF pair."""
        pair, self._after_cr = self._after_cr and character == "\n", character == "\r"
        if character in "\r\n":
            return not pair
        self._line.append(character)
        return False

    def _end_line(self) -> ServerEvent | None:
        line = "".join(self._line)
        self._line.clear()
        if not line:
            return self._dispatch()
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name and colon:
            self.comments.append(value)
        else:
            self._set_field(name, value)
        return None

    def _set_field(self, name: str, value: str) -> None:
        if name == "event":
            self._block.type = value
        elif name == "data":
            self._block.data.append(value)
        elif name == "id" and "\0" not in value:
            self._block.id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self._block.retry = self.reconnection_ms = int(value)

    def _dispatch(self) -> ServerEvent | None:
        block, self._block = self._block, Block()
        if block.id is not None:
            self.last_event_id = block.id
        # The standard's data buffer keeps trailing newlines here: one empty data line is "\n", not an empty buffer.
        if not block.data:
            return None
        text = "\n".join(block.data)
        return ServerEvent(block.type or "message", text, block.id, self.last_event_id, block.retry)


@dataclass(frozen=True, slots=True)
class ParsedStream:
    """The result of a complete stream: its events, the last event id and the last `retry`."""

    events: list[ServerEvent]
    last_event_id: str
    retry: int | None


def parse(stream: bytes) -> ParsedStream:
    """Parse a complete stream."""
    parser = Parser()
    events = parser.feed(stream)
    return ParsedStream(events, parser.last_event_id, parser.reconnection_ms)
