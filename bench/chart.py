"""Draws what `bench.streams --out` wrote as bars: `python -m bench.chart figures.json docs/streams` (SVG and PNG)."""

import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

COLUMN: Final = 540
LABEL: Final = 92
VALUE: Final = 64
ROW: Final = 17
GAP: Final = 12
# The image has so many pixels for each of the drawing, so that it is sharp where it is shown smaller.
SHARP: Final = 2
PEERS: Final = {
    "direct": "#1b6ac9",
    "asgi": "#7fb2ea",
    "nchan": "#8a8a8a",
    "mercure": "#4d9a6a",
    "centrifugo": "#9a6fb0",
    "socket.io": "#5b5b5b",
    "better-sse": "#b5651d",
    "naive": "#d9a441",
    "fastapi": "#c9564f",
}
# Key and label.
CHARTS: Final = (
    ("bcast_ms_med", "one broadcast, until the last has it, ms (less is better)"),
    ("bcast_cpu_us_per_ev", "the same, microseconds of CPU an event and stream (less is better)"),
    ("burst_ev_s", "one publisher back to back, events/s (more is better)"),
    ("par_ev_s", "publishers at once, events/s (more is better)"),
    ("kb_per_conn", "KiB a stream (less is better)"),
    ("connect_per_s", "connects/s (more is better)"),
    ("hold_cpu_pct", "idle with heartbeats, % of a core (less is better)"),
)
# A bar is not drawn longer than so many times the median one, lest the others be too short to tell apart.
LONGEST: Final = 4

Rounds = list[dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Bar:
    """A line of a chart: where, whose, how long (0 to 1; cut off or not), and what it says."""

    x: int
    y: int
    peer: str
    length: float
    cut: bool
    value: float

    @property
    def pixels(self) -> int:
        return max(1, round(self.length * (COLUMN - LABEL - VALUE)))

    @property
    def text(self) -> str:
        return f"{self.value:,.{1 if self.value < 100 else 0}f}"


def medians(rounds: Rounds, key: str) -> dict[str, float]:
    """What each peer has of a figure."""
    found = {peer: [one[peer][key] for one in rounds if key in one.get(peer, {})] for peer in PEERS}
    return {peer: statistics.median(values) for peer, values in found.items() if values}


def chart(x: int, y: int, values: dict[str, float]) -> Iterator[Bar]:
    """The bars of one figure."""
    longest = min(max(values.values()), LONGEST * statistics.median(values.values())) or 1
    for number, (peer, value) in enumerate(values.items()):
        yield Bar(x, y + number * ROW, peer, min(1, value / longest), value > longest, value)


def layout(figures: dict[str, Rounds]) -> tuple[list[tuple[int, int, str]], list[Bar], int, int]:
    """Headings (x, y, text), bars, width and height: a column for each number of streams."""
    headings: list[tuple[int, int, str]] = []
    found: list[Bar] = []
    heights = []
    for column, (streams, rounds) in enumerate(figures.items()):
        x, y = GAP + column * (COLUMN + GAP), GAP
        for key, label in CHARTS:
            if values := medians(rounds, key):
                headings.append((x, y, f"{int(streams):,} streams: {label}"))
                found += chart(x, y + ROW + 2, values)
                y += (len(values) + 1) * ROW + GAP
        heights.append(y)
    return headings, found, GAP + len(figures) * (COLUMN + GAP), max(heights)


def svg(figures: dict[str, Rounds]) -> str:
    """The drawing as SVG."""
    headings, found, width, height = layout(figures)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">']
    lines.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for x, y, text in headings:
        lines.append(f'<text x="{x}" y="{y + 13}" font-size="13" font-weight="bold">{escape(text)}</text>')
    for bar in found:
        x, end = bar.x + LABEL, bar.x + LABEL + bar.pixels
        lines.append(f'<text x="{bar.x + 8}" y="{bar.y + 12}" font-size="12">{bar.peer}</text>')
        rect = f'y="{bar.y + 2}" height="{ROW - 4}"'
        lines.append(f'<rect x="{x}" {rect} width="{bar.pixels}" fill="{PEERS[bar.peer]}"/>')
        if bar.cut:
            lines.append(f'<rect x="{end - 14}" {rect} width="5" fill="white"/>')
        lines.append(f'<text x="{end + 5}" y="{bar.y + 12}" font-size="12">{bar.text}</text>')
    return "\n".join([*lines, "</svg>", ""])


def png(figures: dict[str, Rounds]) -> Image.Image:
    """The same as an image."""
    headings, found, width, height = layout(figures)
    image = Image.new("RGB", (width * SHARP, height * SHARP), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12 * SHARP)

    def text(x: int, y: int, said: str) -> None:
        draw.text((x * SHARP, y * SHARP), said, fill="black", font=font)

    def box(x: int, y: int, long: int, colour: str) -> None:
        corners = (x * SHARP, (y + 2) * SHARP, (x + long) * SHARP - 1, (y + ROW - 2) * SHARP - 1)
        draw.rectangle(corners, fill=colour)

    for x, y, said in headings:
        text(x, y, said)
    for bar in found:
        text(bar.x + 8, bar.y, bar.peer)
        box(bar.x + LABEL, bar.y, bar.pixels, PEERS[bar.peer])
        if bar.cut:
            box(bar.x + LABEL + bar.pixels - 14, bar.y, 5, "white")
        text(bar.x + LABEL + bar.pixels + 5, bar.y, bar.text)
    return image


def main() -> None:
    """Read the figures, write both drawings."""
    figures = json.loads(Path(sys.argv[1]).read_text())["figures"]
    Path(f"{sys.argv[2]}.svg").write_text(svg(figures))
    png(figures).save(f"{sys.argv[2]}.png", optimize=True)


if __name__ == "__main__":
    main()
