"""One axis as it is typed: magicgui makes the fields of a row from this."""

# No postponed annotations here: magicgui reads them as they are.

from typing import Annotated, Any, ClassVar

from magicgui.experimental import guiclass

from aqz_napari.form.recording_plan import KINDS

__all__ = ["AxisFields"]

_LARGEST = 2**31 - 1


@guiclass
class AxisFields:
    """One axis as it is typed."""

    gui: ClassVar[Any]

    axis: Annotated[str, {"tooltip": "Name of the axis"}] = ""
    kind: Annotated[str, {"choices": list(KINDS), "tooltip": "What the axis counts"}] = "space"
    size: Annotated[str, {"tooltip": "Pixels or positions; ∞: as many as come"}] = ""
    scale: Annotated[str, {"tooltip": "Size of a pixel along the axis, or time of a frame"}] = "1"
    unit: Annotated[str, {"tooltip": "Unit of the scale: µm, s, ...; empty for none"}] = ""
    chunk: Annotated[
        int,
        {
            "min": 0,
            "max": _LARGEST,
            "tooltip": "Pixels of a chunk: what viewers read and codecs see at once",
        },
    ] = 1
    shard: Annotated[
        int,
        {
            "min": 0,
            "max": _LARGEST,
            "tooltip": "Chunks of a shard: what is one file; 0 for a file for each chunk",
        },
    ] = 1
