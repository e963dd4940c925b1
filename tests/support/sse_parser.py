"""An event stream's parser that is fed bytes as they come, written from the HTML standard (9.2.6) alone."""

import codecs
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """A dispatched event. `id` is what this block itself said (None: nothing), `last_event_id` what a browser keeps."""

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
    """The lines since the last blank one."""

    type: str = ""
    data: list[str] = field(default_factory=list)
    id: str | None = None
    retry: int | None = None


class Parser:
    """Feed it bytes, cut anywhere; an unfinished block at the end is never dispatched."""

    def __init__(self) -> None:
        self.comments: list[str] = []
        self.last_event_id = ""
        self.reconnection_ms: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._after_cr = False
        self._line = ""
        self._block = Block()

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that these bytes complete."""
        text = self._decoder.decode(chunk)
        if self._at_start and text:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        events = [self._end_of_line() for character in text if self._takes(character)]
        return [event for event in events if event is not None]

    def _takes(self, character: str) -> bool:
        """Whether this character ends a line: CR, LF, or CR LF (then the LF is no second end)."""
        pair, self._after_cr = self._after_cr and character == "\n", character == "\r"
        if character in "\r\n":
            return not pair
        self._line += character
        return False

    def _end_of_line(self) -> ServerEvent | None:
        line, self._line = self._line, ""
        if not line:
            return self._dispatch()
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name and colon:
            self.comments.append(value)
        else:
            self._field(name, value)
        return None

    def _field(self, name: str, value: str) -> None:
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
        # The standard looks at the buffer with its trailing newlines: one empty data line is "\n", not nothing.
        if not block.data:
            return None
        text = "\n".join(block.data)
        return ServerEvent(block.type or "message", text, block.id, self.last_event_id, block.retry)
