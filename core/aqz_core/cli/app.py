"""Commands and options of ``aqz``, and how their errors reach the user.

Only the command line is described here; each command's work is in a module of its
own, imported when the command runs. Expected errors are one line on standard error,
without a traceback.
"""

from __future__ import annotations

import math
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from aqz_core.errors import AqzError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_core.settings import S3Settings

__all__ = ["app", "run"]

Parsed = TypeVar("Parsed")

app = typer.Typer(
    name="aqz",
    help="Record microscope streams to OME-Zarr.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class CameraChoice(StrEnum):
    """Values of ``--camera``."""

    AUTO = "auto"
    MICROMANAGER = "micromanager"
    SIMULATED = "simulated"


class CodecChoice(StrEnum):
    """Values of ``--codec``."""

    NONE = "none"
    BLOSC_LZ4 = "blosc-lz4"
    BLOSC_ZSTD = "blosc-zstd"
    ZSTD = "zstd"
    GZIP = "gzip"


class TargetChoice(StrEnum):
    """Values of ``--target``."""

    RECORDING = "recording"
    VIEWING = "viewing"
    OBJECT_STORE = "object-store"


Endpoint = Annotated[str, typer.Option(help="URL of the S3 service, if it is not AWS.")]
Region = Annotated[str | None, typer.Option(help="Region of the bucket.")]
Profile = Annotated[str | None, typer.Option(help="Section of the AWS configuration files.")]


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` and return its exit code; see `aqz_core.cli.main`."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="aqz")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except AqzError as error:
        sys.stderr.write(f"aqz: error: {error}\n")
        return 1
    return 0


def parse_shape(text: str) -> tuple[int, int]:
    """Return ``(Y, X)`` pixels of a text like ``"2048x2048"``.

    Raises
    ------
    typer.BadParameter
        The text is not two positive numbers with an x between them.
    """
    match = re.fullmatch(r"\s*([1-9]\d{0,5})\s*[xX×]\s*([1-9]\d{0,5})\s*", text)  # noqa: RUF001
    if match is None:
        raise typer.BadParameter(f"{text!r} is not rows x columns, for example 2048x2048")
    return int(match[1]), int(match[2])


def _show_version(wanted: bool) -> None:
    """Print the version and leave, for ``--version``."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"aqz {version('aqz')}")
        raise typer.Exit


def _finite(number: float | None) -> float | None:
    """Refuse ``inf`` and ``nan``, which Python reads as numbers, for an option."""
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter(f"{number} is no number that anything can be counted with")
    return number


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    frames: Annotated[int, typer.Option(min=1, help="How many frames to record.")] = 200,
    shape: Annotated[
        str, typer.Option(metavar="ROWSxCOLUMNS", help="Size of a frame, pixels.")
    ] = "512x512",
    codec: Annotated[CodecChoice, typer.Option(help="Compression.")] = CodecChoice.BLOSC_LZ4,
    pyramid: Annotated[
        bool, typer.Option("--pyramid/--no-pyramid", help="Also store smaller versions.")
    ] = True,
    output: Annotated[Path, typer.Option(help="The store to make.")] = Path("demo.ome.zarr"),
    camera: Annotated[
        CameraChoice,
        typer.Option(help="auto takes Micro-Manager's DemoCamera where it is installed."),
    ] = CameraChoice.AUTO,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store that is already there.")
    ] = False,
) -> None:
    """Record a camera, read the recording back, and compare every frame."""
    rows_and_columns = parse_shape(shape)
    from aqz_core.cli.demo import DemoOptions, run_demo

    options = DemoOptions(
        frames=frames,
        shape=rows_and_columns,
        codec=codec.value,
        pyramid=pyramid,
        output=output,
        camera=camera.value,
        overwrite=overwrite,
    )
    raise typer.Exit(run_demo(options))


@app.command()
def record(
    output: Annotated[str, typer.Option(help="The store to make: a path or URL.")],
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="How many frames to record; until Ctrl+C if left out."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Micro-Manager configuration (.cfg); the DemoCamera if left out.",
        ),
    ] = None,
    adapters: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            envvar="MICROMANAGER_PATH",
            help="Folder of device adapters; those of mm-test-adapters if left out.",
        ),
    ] = None,
    exposure: Annotated[
        float | None, typer.Option(min=0.0, callback=_finite, help="Exposure, milliseconds.")
    ] = None,
    buffer: Annotated[
        int, typer.Option(min=1, help="Buffer between camera and program, MiB.")
    ] = 1024,
    codec: Annotated[CodecChoice, typer.Option(help="Compression.")] = CodecChoice.BLOSC_LZ4,
    pyramid: Annotated[
        bool, typer.Option("--pyramid/--no-pyramid", help="Also store smaller versions.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store that is already there.")
    ] = False,
    spill: Annotated[
        Path | None,
        typer.Option(help="Folder to go on in when an object store fails; `aqz upload` sends it."),
    ] = None,
    endpoint: Endpoint = "",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Record a Micro-Manager camera as fast as it sends frames; none is dropped."""
    from aqz_core.cli.record import RecordOptions, run_record

    options = RecordOptions(
        config=config,
        adapters=adapters,
        frames=frames,
        exposure_ms=exposure,
        buffer_mb=buffer,
        codec=codec.value,
        pyramid=pyramid,
        output=output,
        overwrite=overwrite,
        spill=spill,
        s3=_s3_settings(endpoint, region, profile),
    )
    raise typer.Exit(run_record(options))


@app.command()
def info(
    store: Annotated[
        str, typer.Argument(help="A store, or a group or array inside of one: a path or URL.")
    ],
    endpoint: Endpoint = "",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show what a store holds: groups, arrays, axes, and bytes on disk."""
    from aqz_core.cli.info import show_info

    raise typer.Exit(show_info(store, _s3_settings(endpoint, region, profile)))


@app.command()
def plan(
    shape: Annotated[
        str,
        typer.Option(
            metavar="SIZEx...xROWSxCOLUMNS",
            help="Sizes of the axes, 0 first for as many frames as come; or of a frame alone.",
        ),
    ],
    dtype: Annotated[str, typer.Option(help="Data type of a pixel.")] = "uint16",
    axes: Annotated[str, typer.Option(help="A letter for each axis, such as tczyx.")] = "",
    target: Annotated[
        TargetChoice | None, typer.Option(help="What for; all are shown if left out.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.001, callback=_finite, help="Frames a second.")
    ] = None,
    compressed: Annotated[
        bool, typer.Option("--compressed/--raw", help="Whether chunks are compressed.")
    ] = True,
    pyramid: Annotated[
        bool, typer.Option("--pyramid/--no-pyramid", help="Also store smaller versions.")
    ] = False,
) -> None:
    """Propose chunks and shards, with the files and the memory they take."""
    from aqz_core.cli.plan import PlanOptions, parse_axis_sizes, run_plan

    options = PlanOptions(
        shape=_understood(parse_axis_sizes, shape),
        dtype=dtype,
        axes=axes,
        target=None if target is None else target.value,
        fps=fps,
        compressed=compressed,
        pyramid=pyramid,
    )
    raise typer.Exit(run_plan(options))


@app.command()
def validate(
    store: Annotated[str, typer.Argument(help="A store: a path or URL.")],
    decode: Annotated[
        bool, typer.Option("--decode/--no-decode", help="Also undo the codecs of every chunk.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    endpoint: Endpoint = "",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Check metadata, the index and checksum of every shard, and every chunk's codecs."""
    from aqz_core.cli import validate as command

    s3 = _s3_settings(endpoint, region, profile)
    raise typer.Exit(command.validate(store, s3, decode=decode, as_json=as_json))


@app.command()
def repair(
    store: Annotated[str, typer.Argument(help="A store: a path or URL.")],
    apply: Annotated[
        bool, typer.Option("--apply", help="Make the changes; otherwise they are only listed.")
    ] = False,
    abort_uploads: Annotated[
        bool,
        typer.Option(
            "--abort-uploads",
            help="Also throw away unfinished uploads; only if nobody records to the store.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    endpoint: Endpoint = "",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Finish a store whose recording ended before it was closed; no pixel is removed."""
    from aqz_core.cli import repair as command

    s3 = _s3_settings(endpoint, region, profile)
    raise typer.Exit(
        command.repair(store, s3, apply=apply, abort_uploads=abort_uploads, as_json=as_json)
    )


@app.command()
def upload(
    store: Annotated[str, typer.Argument(help="A store on this machine, or a spill.")],
    destination: Annotated[
        str | None,
        typer.Argument(
            help="Where it goes: s3://bucket/name.ome.zarr. A spill knows it.", show_default=False
        ),
    ] = None,
    endpoint: Endpoint = "",
    region: Region = None,
    profile: Profile = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store that is already there.")
    ] = False,
) -> None:
    """Send a finished store, or what a failed object store lacks, to an object store."""
    from aqz_core.cli.upload import run_upload

    s3 = _s3_settings(endpoint, region, profile)
    raise typer.Exit(run_upload(store, destination, s3, overwrite=overwrite))


@app.command()
def bench(
    folder: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A folder on the disk that you record to."),
    ],
    camera: Annotated[
        str,
        typer.Option(metavar="ROWSxCOLUMNS@FPS[:DTYPE]", help="What the camera sends."),
    ] = "2048x2048@100:uint16",
    seconds: Annotated[
        float,
        typer.Option(
            min=0.05,
            callback=_finite,
            help="Length of each recording; there are two for each codec.",
        ),
    ] = 5.0,
    codec: Annotated[
        list[CodecChoice] | None,
        typer.Option(help="Codec to try; may be repeated. Some usual ones if left out."),
    ] = None,
    pyramid: Annotated[
        bool, typer.Option("--pyramid/--no-pyramid", help="Also store smaller versions.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the figures to this file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Draw the figures into this PNG file.")
    ] = None,
) -> None:
    """Measure whether a disk holds a camera; exit code 1 says that no codec does."""
    from aqz_core.camera_load import CameraLoad
    from aqz_core.cli.bench import BenchOptions, run_bench

    usual = [CodecChoice.NONE, CodecChoice.BLOSC_LZ4, CodecChoice.BLOSC_ZSTD]
    options = BenchOptions(
        folder=folder,
        camera=_understood(CameraLoad.parse, camera),
        seconds=seconds,
        codecs=tuple(dict.fromkeys(one.value for one in codec or usual)),
        pyramid=pyramid,
        json=json,
        plot=plot,
    )
    raise typer.Exit(run_bench(options))


def _s3_settings(endpoint: str, region: str | None, profile: str | None) -> S3Settings | None:
    """Return how to reach a bucket; None for what the environment says."""
    if not (endpoint or region or profile):
        return None
    from aqz_core.settings import S3Settings

    return S3Settings(endpoint=endpoint, region=region, profile=profile)


def _understood(parse: Callable[[str], Parsed], text: str) -> Parsed:
    """Return what `parse` makes of an option; what it refuses is wrong usage."""
    try:
        return parse(text)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
