"""A parser of event streams, written from the HTML standard's text (9.2.6) and from nothing else of ours."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One dispatched event, as a browser would see it."""

    type: str
    data: str
    last_event_id: str


@dataclass
class Parsed:
    """All that a whole stream says; an unfinished block at its end is thrown away, as the standard has it."""

    messages: list[Message]
    last_event_id: str
    retry: int | None


def lines_of(text: str) -> list[str]:
    """Lines end with CRLF, LF or CR; what follows the last line end is no line yet."""
    lines, current, at = [], "", 0
    while at < len(text):
        character = text[at]
        if character == "\r":
            lines.append(current)
            current = ""
            if text[at + 1 : at + 2] == "\n":
                at += 1
        elif character == "\n":
            lines.append(current)
            current = ""
        else:
            current += character
        at += 1
    return lines


def parse(stream: bytes) -> Parsed:
    """Decode and interpret a stream."""
    text = stream.decode("utf-8", errors="replace")
    text = text.removeprefix("\ufeff")
    messages: list[Message] = []
    data = event_type = last_event_id_buffer = last_event_id = ""
    retry = None
    for line in lines_of(text):
        if line == "":
            last_event_id = last_event_id_buffer
            if data == "":
                event_type = ""
                continue
            messages.append(Message(event_type or "message", data.removesuffix("\n"), last_event_id))
            data = event_type = ""
            continue
        if line.startswith(":"):
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            event_type = value
        elif field == "data":
            data += value + "\n"
        elif field == "id":
            if "\0" not in value:
                last_event_id_buffer = value
        elif field == "retry" and value and all(digit in "0123456789" for digit in value):
            retry = int(value)
    return Parsed(messages, last_event_id, retry)
