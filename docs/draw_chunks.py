"""Draws how a recording is cut into shards and chunks: ``python docs/draw_chunks.py``.

Writes docs/pictures/chunks-and-shards.svg; a test fails when the picture is not current.
"""

from __future__ import annotations

from pathlib import Path

PICTURE = Path(__file__).parent / "pictures" / "chunks-and-shards.svg"

EDGE, CHUNKS = 128, 4
COLOURS = ("#00897b", "#f4511e")
TEXT = "font-family='sans-serif' font-size='19' fill='#607d8b'"


def picture() -> str:
    """Return three frames of two shards side by side, and one chunk, as SVG."""
    parts = [_frame(40 + 26 * depth, 70 - 16 * depth, COLOURS[0]) for depth in (2, 1, 0)]
    parts += [_frame(300 + 26 * depth, 70 - 16 * depth, COLOURS[1]) for depth in (2, 1, 0)]
    step = EDGE / CHUNKS
    parts.append(
        f"<rect x='{560}' y='{70 + step:g}' width='{2 * step:g}' height='{2 * step:g}' "
        f"fill='{COLOURS[0]}' fill-opacity='0.6' stroke='{COLOURS[0]}' stroke-width='2'/>"
    )
    captions = {
        40: "shard 0/0/0: one file,",
        300: "shard 1/0/0: the next",
        560: "a chunk: what a reader",
    }
    second = {40: "frames 0 to 2", 300: "file, frames 3 to 5", 560: "fetches and decodes"}
    for x, line in captions.items():
        parts.append(f"<text x='{x}' y='232' {TEXT}>{line}</text>")
        parts.append(f"<text x='{x}' y='256' {TEXT}>{second[x]}</text>")
    return (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 790 270' role='img'>\n"
        "<title>A recording cut into shards, each cut into chunks</title>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _frame(x: float, y: float, colour: str) -> str:
    """Return one frame, its chunks as a grid."""
    step = EDGE / CHUNKS
    lines = "".join(
        f"M{x + n * step:g},{y:g}v{EDGE}M{x:g},{y + n * step:g}h{EDGE}" for n in range(CHUNKS + 1)
    )
    return (
        f"<rect x='{x:g}' y='{y:g}' width='{EDGE}' height='{EDGE}' fill='white'/>"
        f"<rect x='{x:g}' y='{y:g}' width='{EDGE}' height='{EDGE}' fill='{colour}' "
        f"fill-opacity='0.25'/>"
        f"<path d='{lines}' stroke='{colour}' fill='none'/>"
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
