"""Draws the figures of `bench.streams --out` as bar charts.

`python -m bench.chart figures.json docs/streams` writes docs/streams.svg and docs/streams.png.
"""

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
# Pixels of the image for each unit of the drawing, so that the image is sharp on dense displays.
PIXELS_PER_UNIT: Final = 2
COLORS: Final = {
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
    ("bcast_ms_med", "one broadcast, ms until the last stream has it (less is better)"),
    ("bcast_cpu_us_per_ev", "one broadcast, CPU µs per event and stream (less is better)"),
    ("burst_ev_s", "one publisher without pauses, events/s (more is better)"),
    ("par_ev_s", "concurrent publishers, events/s (more is better)"),
    ("kb_per_conn", "KiB per stream (less is better)"),
    ("connect_per_s", "connects/s (more is better)"),
    ("hold_cpu_pct", "idle with heartbeats, % of a core (less is better)"),
)
# The longest bar, as a multiple of the median. Longer bars are cut, so that the others stay distinguishable.
MAX_RELATIVE_LENGTH: Final = 4

Rounds = list[dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Bar:
    """A bar of a chart: position, peer, length from 0 to 1, whether it is cut, and the value."""

    x: int
    y: int
    peer: str
    length: float
    is_cut: bool
    value: float

    @property
    def pixels(self) -> int:
        return max(1, round(self.length * (COLUMN - LABEL - VALUE)))

    @property
    def text(self) -> str:
        return f"{self.value:,.{1 if self.value < 100 else 0}f}"


def get_medians(rounds: Rounds, key: str) -> dict[str, float]:
    """Return the median of a figure for each peer that has it."""
    values_by_peer = {
        peer: [figures[peer][key] for figures in rounds if key in figures.get(peer, {})] for peer in COLORS
    }
    return {peer: statistics.median(values) for peer, values in values_by_peer.items() if values}


def create_bars(x: int, y: int, values: dict[str, float]) -> Iterator[Bar]:
    """Yield the bars of one figure."""
    longest = min(max(values.values()), MAX_RELATIVE_LENGTH * statistics.median(values.values())) or 1
    for number, (peer, value) in enumerate(values.items()):
        yield Bar(x, y + number * ROW, peer, min(1, value / longest), value > longest, value)


def lay_out(figures: dict[str, Rounds]) -> tuple[list[tuple[int, int, str]], list[Bar], int, int]:
    """Return the headings (x, y, text), bars, width and height; each number of streams is a column."""
    headings: list[tuple[int, int, str]] = []
    bars: list[Bar] = []
    heights = []
    for column, (streams, rounds) in enumerate(figures.items()):
        x, y = GAP + column * (COLUMN + GAP), GAP
        for key, label in CHARTS:
            if values := get_medians(rounds, key):
                headings.append((x, y, f"{int(streams):,} streams: {label}"))
                bars += create_bars(x, y + ROW + 2, values)
                y += (len(values) + 1) * ROW + GAP
        heights.append(y)
    return headings, bars, GAP + len(figures) * (COLUMN + GAP), max(heights)


def draw_svg(figures: dict[str, Rounds]) -> str:
    """Return the charts as SVG."""
    headings, bars, width, height = lay_out(figures)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">']
    lines.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for x, y, text in headings:
        lines.append(f'<text x="{x}" y="{y + 13}" font-size="13" font-weight="bold">{escape(text)}</text>')
    for bar in bars:
        x, end = bar.x + LABEL, bar.x + LABEL + bar.pixels
        lines.append(f'<text x="{bar.x + 8}" y="{bar.y + 12}" font-size="12">{bar.peer}</text>')
        rect = f'y="{bar.y + 2}" height="{ROW - 4}"'
        lines.append(f'<rect x="{x}" {rect} width="{bar.pixels}" fill="{COLORS[bar.peer]}"/>')
        if bar.is_cut:
            lines.append(f'<rect x="{end - 14}" {rect} width="5" fill="white"/>')
        lines.append(f'<text x="{end + 5}" y="{bar.y + 12}" font-size="12">{bar.text}</text>')
    return "\n".join([*lines, "</svg>", ""])


def draw_png(figures: dict[str, Rounds]) -> Image.Image:
    """Return the charts as an image."""
    headings, bars, width, height = lay_out(figures)
    image = Image.new("RGB", (width * PIXELS_PER_UNIT, height * PIXELS_PER_UNIT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12 * PIXELS_PER_UNIT)

    def text(x: int, y: int, content: str) -> None:
        draw.text((x * PIXELS_PER_UNIT, y * PIXELS_PER_UNIT), content, fill="black", font=font)

    def box(x: int, y: int, width_units: int, color: str) -> None:
        corners = (
            x * PIXELS_PER_UNIT,
            (y + 2) * PIXELS_PER_UNIT,
            (x + width_units) * PIXELS_PER_UNIT - 1,
            (y + ROW - 2) * PIXELS_PER_UNIT - 1,
        )
        draw.rectangle(corners, fill=color)

    for x, y, content in headings:
        text(x, y, content)
    for bar in bars:
        text(bar.x + 8, bar.y, bar.peer)
        box(bar.x + LABEL, bar.y, bar.pixels, COLORS[bar.peer])
        if bar.is_cut:
            box(bar.x + LABEL + bar.pixels - 14, bar.y, 5, "white")
        text(bar.x + LABEL + bar.pixels + 5, bar.y, bar.text)
    return image


def main() -> None:
    """Read the figures and write both files."""
    figures = json.loads(Path(sys.argv[1]).read_text())["figures"]
    Path(f"{sys.argv[2]}.svg").write_text(draw_svg(figures))
    draw_png(figures).save(f"{sys.argv[2]}.png", optimize=True)


if __name__ == "__main__":
    main()
