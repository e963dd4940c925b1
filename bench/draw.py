"""Draws what `bench.streams --out` wrote as bars: `python -m bench.draw figures.json docs/streams` (SVG and PNG)."""

import json
import statistics
import sys
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

WIDTH: Final = 880
LABEL: Final = 250
ROW: Final = 22
PEERS: Final = {"takeover": "#1b6ac9", "portable": "#7fb2ea", "nchan": "#8a8a8a", "naive": "#d9a441"}
# Key and label.
CHARTS: Final = (
    ("bcast_ms_med", "one broadcast, until the last has it, ms (less is better)"),
    ("bcast_cpu_us_per_ev", "the same, microseconds of CPU an event and stream (less is better)"),
    ("par_ev_s", "publishers at once, events/s (more is better)"),
    ("kb_per_conn", "KiB a stream (less is better)"),
    ("hold_cpu_pct", "idle with heartbeats, % of a core (less is better)"),
)

Bar = tuple[int, str, float, float, str]


def bars(figures: dict[str, list[dict[str, dict[str, Any]]]]) -> tuple[list[tuple[int, str]], list[Bar], int]:
    """Headings (y, text), bars (y, label, length 0…1, value, colour), and the height of it all."""
    headings: list[tuple[int, str]] = []
    found: list[Bar] = []
    y = 10
    for streams, rounds in figures.items():
        for key, label in CHARTS:
            medians = {
                peer: statistics.median(one[peer][key] for one in rounds if key in one.get(peer, {}))
                for peer in PEERS
                if any(key in one.get(peer, {}) for one in rounds)
            }
            if not medians:
                continue
            headings.append((y, f"{int(streams):,} streams: {label}"))
            y += ROW
            for peer, value in medians.items():
                found.append((y, peer, value / max(medians.values()), value, PEERS[peer]))
                y += ROW
            y += 8
    return headings, found, y


def svg(figures: dict[str, Any]) -> str:
    """The drawing as SVG."""
    headings, found, height = bars(figures)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif">']
    lines.append(f'<rect width="{WIDTH}" height="{height}" fill="white"/>')
    for y, text in headings:
        lines.append(f'<text x="10" y="{y + 15}" font-size="14" font-weight="bold">{text}</text>')
    for y, label, length, value, colour in found:
        long = max(1, round(length * (WIDTH - LABEL - 90)))
        lines.append(f'<text x="30" y="{y + 15}" font-size="13">{label}</text>')
        lines.append(f'<rect x="{LABEL}" y="{y + 3}" width="{long}" height="{ROW - 6}" fill="{colour}"/>')
        lines.append(
            f'<text x="{LABEL + long + 6}" y="{y + 15}" font-size="12">{value:,.{1 if value < 100 else 0}f}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def png(figures: dict[str, Any]) -> Image.Image:
    """The same as an image."""
    headings, found, height = bars(figures)
    image = Image.new("RGB", (WIDTH, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for y, text in headings:
        draw.text((10, y + 2), text, fill="black", font=font)
    for y, label, length, value, colour in found:
        long = max(1, round(length * (WIDTH - LABEL - 90)))
        draw.text((30, y + 2), label, fill="black", font=font)
        draw.rectangle((LABEL, y + 3, LABEL + long, y + ROW - 3), fill=colour)
        draw.text((LABEL + long + 6, y + 2), f"{value:,.{1 if value < 100 else 0}f}", fill="black", font=font)
    return image


def main() -> None:
    """Read the figures, write both drawings."""
    figures = json.loads(Path(sys.argv[1]).read_text())
    Path(f"{sys.argv[2]}.svg").write_text(svg(figures))
    png(figures).save(f"{sys.argv[2]}.png")


if __name__ == "__main__":
    main()
