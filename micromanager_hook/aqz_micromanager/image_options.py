"""What the user wants of the images, and the array that all of them are made like.

The acquisition decides on axes, sizes, data type, positions and channels; the template has
compression, pyramid, fill value, and the chunks and shards of axes of equal name.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aqz_core as aqz

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aqz_micromanager.positions import PlateChoice

__all__ = ["ImageOptions", "apply_template", "tell_of_differences", "template_of"]

_log = logging.getLogger("aqz.micromanager")


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """What the user wants of the images.

    Attributes
    ----------
    settings
        Template: its only array gives compression, pyramid, and chunks of axes of equal name.
    colors
        Of channels, by name: six hexadecimal digits.
    plate
        Whether positions are fields of a plate; ``"auto"`` looks at their labels.

    Raises
    ------
    SettingsError
        A choice means nothing, or the settings say what only the acquisition can say.
    """

    settings: aqz.StreamSettings | None = None
    colors: Mapping[str, str] = field(default_factory=dict)
    plate: PlateChoice = "auto"

    def __post_init__(self) -> None:
        """Refuse what would be ignored, or fail with the first frame only."""
        if self.plate not in ("auto", True, False):
            raise aqz.SettingsError(f"plate is {self.plate!r}; use 'auto', True or False")
        for name, color in self.colors.items():
            if not re.fullmatch(r"[0-9A-Fa-f]{6}", str(color)):
                raise aqz.SettingsError(
                    f"colors: {name!r} is {color!r}; give six hexadecimal digits such as '00FF00'"
                )
        if self.settings is not None:
            _check_template(self.settings)


def _check_template(settings: aqz.StreamSettings) -> None:
    """Refuse settings of things that the acquisition decides."""
    if not isinstance(settings, aqz.StreamSettings):
        raise aqz.SettingsError(
            f"settings is {settings!r}; give aqz_core.StreamSettings(...), or leave it out"
        )
    if settings.hcs_plates or len(settings.arrays) > 1:
        raise aqz.SettingsError(
            "settings: positions become images and plates by themselves; give one array at most, "
            "as a template for all of them"
        )
    for array in settings.arrays:
        if array.output_key or array.channels or array.storage_dimension_order:
            raise aqz.SettingsError(
                "settings: the array is a template, whose output_key, channels and "
                "storage_dimension_order would mean nothing; colors= has the channels' colours"
            )


def template_of(settings: aqz.StreamSettings | None) -> aqz.ArraySettings:
    """Return the array that others are made like."""
    if settings is not None and settings.arrays:
        return settings.arrays[0]
    return aqz.ArraySettings(
        compression=aqz.CompressionSettings(
            compressor=aqz.Compressor.BLOSC1,
            codec=aqz.CompressionCodec.BLOSC_LZ4,
            level=1,
            shuffle=1,
        )
    )


def apply_template(array: aqz.ArraySettings, template: aqz.ArraySettings) -> None:
    """Give axes the chunks and shards that the template has for axes of equal name."""
    wanted = {dimension.name: dimension for dimension in template.dimensions}
    for dimension in array.dimensions:
        if (given := wanted.get(dimension.name)) is None:
            continue
        size = dimension.array_size_px or given.chunk_size_px
        dimension.chunk_size_px = max(1, min(given.chunk_size_px, size))
        dimension.shard_size_chunks = given.shard_size_chunks
    array.storage_dimension_order = []


def tell_of_differences(template: aqz.ArraySettings, made: aqz.ArraySettings) -> None:
    """Log which sizes and data type of the template are not those of the acquisition."""
    sizes = {dimension.name: dimension.array_size_px for dimension in made.dimensions}
    for dimension in template.dimensions:
        wanted, name = dimension.array_size_px, dimension.name
        if name not in sizes:
            _log.warning("settings: axis %r is none of the acquisition's %s", name, list(sizes))
        elif wanted and sizes[name] and wanted != sizes[name]:
            _log.warning(
                "settings: axis %r has size %d, but the acquisition has %d, which is what counts",
                name,
                wanted,
                sizes[name],
            )
    if template.dimensions and template.data_type != made.data_type:
        _log.info("settings: the data type is that of the frames, %s", made.data_type.name)
