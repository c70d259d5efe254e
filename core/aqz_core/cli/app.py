"""Commands and options of ``aqz``, and how their errors reach the user.

Only the command line is described here, all of it so that options of one name mean one thing; each
command's work is in a module of its own, imported when the command runs. Expected errors are one
line on standard error, without a traceback.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import typer

from aqz_core.cli.display import silence
from aqz_core.errors import AqzError, SettingsError
from aqz_core.settings.compression import COMPRESSION_NAMES
from aqz_core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_core.settings.compression import CompressionName
    from aqz_core.settings.s3 import S3Settings

__all__ = ["app", "run"]

Parsed = TypeVar("Parsed")

app = typer.Typer(
    name="aqz",
    help="Record microscope streams to OME-Zarr.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

MOST_FRAMES = 2**40
"""More than any array of a recording has."""

MOST_BUFFER = 2**20
"""MiB of a camera's buffer."""


class CameraChoice(StrEnum):
    """Values of ``--camera``."""

    AUTO = "auto"
    MICROMANAGER = "micromanager"
    SIMULATED = "simulated"


# Values of ``--codec``; typer makes options of enumerations only, mypy none of computed names.
CodecChoice = StrEnum("CodecChoice", [(name, name) for name in COMPRESSION_NAMES])  # type: ignore[misc]
USUAL_CODEC = CodecChoice("blosc-lz4")
ARCHIVE_CODEC = CodecChoice("zstd")


class TargetChoice(StrEnum):
    """Values of ``--target``."""

    RECORDING = "recording"
    VIEWING = "viewing"
    OBJECT_STORE = "object-store"


Store = Annotated[str, typer.Argument(help="A store: a path or URL.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a store that is already there.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Tasks at the same time.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes of this machine instead of threads.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler instead: tcp://...")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON document.")]
KeepFree = Annotated[
    str,
    typer.Option(
        metavar="SIZE", help="Room of the disk that stays free, such as 500MB or 10GB; 0 for none."
    ),
]
Endpoint = Annotated[str, typer.Option(help="URL of the S3 service, if it is not AWS.")]
Region = Annotated[str | None, typer.Option(help="Region of the bucket.")]
Profile = Annotated[str | None, typer.Option(help="Section of the AWS configuration files.")]


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` and return its exit code; see `aqz_core.cli.main`."""
    try:
        code = _code_of(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for instance, has seen enough
        silence(sys.stdout)
        return 1
    except (AqzError, OSError, MemoryError) as error:
        if isinstance(error, OSError) and not isinstance(error, AqzError):
            silence(sys.stdout)
        _complain(_one_line(error))
        return 1
    except Exception as error:
        logging.getLogger("aqz").debug("where that came from:", exc_info=error)
        _complain(
            f"{type(error).__name__}: {_one_line(error)} (a fault of aqz: set AQZ_DEBUG=1 to see "
            "where, and please report it)"
        )
        if os.environ.get("AQZ_DEBUG"):
            raise
        return 1
    return code


def _code_of(arguments: Sequence[str] | None) -> int:
    """Run the command line and return the code that it ends with."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="aqz")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    return 0


def _one_line(error: BaseException) -> str:
    """Return the message of an error; one of the system without its number."""
    if isinstance(error, MemoryError) and not str(error):
        return "there is not enough memory"
    if isinstance(error, OSError) and not isinstance(error, AqzError) and error.strerror:
        name = str(error.filename or "the output")
        return f"{name if len(name) < 200 else name[:197] + '...'}: {error.strerror}"
    return " ".join(str(error).split())


def _complain(message: str) -> None:
    """Report what went wrong, where that can be done."""
    from aqz_core.display.printable import visible

    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"aqz: error: {visible(message)}\n")


def parse_size(text: str) -> int:
    """Return the bytes of a text like ``"500MB"`` or ``"1.5 GiB"``.

    Raises
    ------
    typer.BadParameter
        The text is not a number of bytes.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size, for example 500MB or 10GB")
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


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
        typer.echo(f"aqz {__version__}")
        raise typer.Exit


def _finite(number: float | None) -> float | None:
    """Refuse ``inf`` and ``nan``, which Python reads as numbers, for an option."""
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter(f"{number} is not a number that anything can be counted with")
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
    frames: Annotated[
        int, typer.Option("--frames", "-n", min=1, max=MOST_FRAMES, help="How many frames.")
    ] = 200,
    shape: Annotated[
        str, typer.Option(metavar="ROWSxCOLUMNS", help="Size of a frame, pixels.")
    ] = "512x512",
    codec: Annotated[CodecChoice, typer.Option(help="Compression.")] = USUAL_CODEC,
    pyramid: Annotated[
        bool, typer.Option("--pyramid/--no-pyramid", help="Also store smaller versions.")
    ] = True,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The store to make: a path.")
    ] = "demo.ome.zarr",
    camera: Annotated[
        CameraChoice,
        typer.Option(help="auto takes Micro-Manager's DemoCamera where it is installed."),
    ] = CameraChoice.AUTO,
    overwrite: Overwrite = False,
    keep_free: KeepFree = "200MB",
) -> None:
    """Record a camera, read the recording back, and compare every frame."""
    rows_and_columns = parse_shape(shape)
    from aqz_core.cli.demo import DemoOptions, run_demo

    options = DemoOptions(
        frames=frames,
        shape=rows_and_columns,
        codec=cast("CompressionName", codec.value),
        pyramid=pyramid,
        output=output,
        camera=camera.value,
        overwrite=overwrite,
        keep_free=parse_size(keep_free),
    )
    raise typer.Exit(run_demo(options))


@app.command()
def record(
    output: Annotated[
        str, typer.Option("--output", "-o", help="The store to make: a path or URL.")
    ],
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            "-n",
            min=1,
            max=MOST_FRAMES,
            help="How many frames to record; until Ctrl+C if left out.",
        ),
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
        int, typer.Option(min=1, max=MOST_BUFFER, help="Buffer between camera and program, MiB.")
    ] = 1024,
    codec: Annotated[CodecChoice, typer.Option(help="Compression.")] = USUAL_CODEC,
    pyramid: Annotated[
        bool, typer.Option("--pyramid/--no-pyramid", help="Also store smaller versions.")
    ] = False,
    checksum: Annotated[
        bool,
        typer.Option("--checksum", help="Store a checksum of every chunk, for `aqz validate`."),
    ] = False,
    overwrite: Overwrite = False,
    spill: Annotated[
        Path | None,
        typer.Option(help="Folder to go on in when an object store fails; `aqz upload` sends it."),
    ] = None,
    keep_free: KeepFree = "200MB",
    as_json: AsJson = False,
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
        codec=cast("CompressionName", codec.value),
        pyramid=pyramid,
        checksum=checksum,
        output=output,
        overwrite=overwrite,
        spill=spill,
        keep_free=parse_size(keep_free),
        as_json=as_json,
        s3=_s3_settings(endpoint, region, profile),
    )
    raise typer.Exit(run_record(options))


@app.command()
def info(
    store: Annotated[
        str, typer.Argument(help="A store, or a group or array inside of one: a path or URL.")
    ],
    picture: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Also draw the images into this PNG file: a row for each, its channels and their "
            "sum, at the middle z, at the first time and at the last.",
        ),
    ] = None,
    as_json: AsJson = False,
    endpoint: Endpoint = "",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show what a store holds: groups, arrays, axes, and bytes on disk."""
    from aqz_core.cli.info import draw_picture, show_info
    from aqz_core.cli.info_document import print_info

    show = print_info if as_json else show_info
    s3 = _s3_settings(endpoint, region, profile)
    code = show(store, s3)
    if picture is not None:
        draw_picture(store, s3, picture)
    raise typer.Exit(code)


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
    as_json: AsJson = False,
) -> None:
    """Propose chunks and shards, with the files and the memory they take."""
    from aqz_core.cli.plan import PlanOptions, parse_axis_sizes, run_plan

    options = PlanOptions(
        shape=_understood(lambda text: parse_axis_sizes(text, axes), shape),
        dtype=dtype,
        axes=axes,
        target=None if target is None else target.value,
        fps=fps,
        compressed=compressed,
        pyramid=pyramid,
        as_json=as_json,
    )
    raise typer.Exit(run_plan(options))


@app.command()
def validate(
    store: Store,
    decode: Annotated[
        bool, typer.Option("--decode/--no-decode", help="Also undo the codecs of every chunk.")
    ] = True,
    as_json: AsJson = False,
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
    store: Store,
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
    as_json: AsJson = False,
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
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Send a finished store, or what a failed object store lacks, to an object store."""
    from aqz_core.cli.upload import run_upload

    s3 = _s3_settings(endpoint, region, profile)
    raise typer.Exit(run_upload(store, destination, s3, overwrite=overwrite, as_json=as_json))


@app.command()
def transcode(
    source: Annotated[
        str, typer.Argument(help="A store; or an OME-TIFF, TIFF or npy file, an NDTiff folder.")
    ],
    destination: Annotated[str, typer.Argument(help="The new store: a path or a URL.")],
    chunks: Annotated[
        str | None, typer.Option(metavar="...xROWSxCOLUMNS", help="Pixels of a chunk.")
    ] = None,
    shards: Annotated[
        str | None, typer.Option(metavar="...xROWSxCOLUMNS", help="Chunks of a shard.")
    ] = None,
    codec: Annotated[CodecChoice, typer.Option(help="Compression.")] = ARCHIVE_CODEC,
    level: Annotated[int, typer.Option(min=0, max=22, help="Of the codec.")] = 3,
    pyramid: Annotated[
        str | None,
        typer.Option(
            help="Make levels anew: mean, decimate, min, max; none for full resolution alone. "
            "Those of the source if left out."
        ),
    ] = None,
    version: Annotated[int | None, typer.Option(min=2, max=3, help="Zarr format.")] = None,
    ngff: Annotated[str | None, typer.Option(help="0.4 (with Zarr 2) or 0.5 (with 3).")] = None,
    axes: Annotated[
        str, typer.Option(help="A letter for each axis, if the source does not name them.")
    ] = "",
    threads: Threads = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it takes.")] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    endpoint: Endpoint = "",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Make a store with other chunks, shards, codec, levels or version; may be interrupted."""
    from aqz_core.cli.transcode import run_transcode
    from aqz_core.settings.paths import url_scheme

    s3 = _s3_settings(endpoint, region, profile)
    raise typer.Exit(
        run_transcode(
            source,
            destination,
            dry_run=dry_run,
            as_json=as_json,
            chunks=_sizes("chunks", chunks),
            shards=_sizes("shards", shards),
            codec=codec.value,
            level=level,
            pyramid=pyramid,
            version=version,
            ngff=ngff,
            axes=axes,
            source_s3=s3 if url_scheme(source) else None,
            s3=s3 if url_scheme(destination) else None,
            threads=threads,
            workers=workers,
            scheduler=scheduler,
            overwrite=overwrite,
        )
    )


@app.command()
def pyramid(
    store: Store,
    method: Annotated[
        str, typer.Option(help="mean, decimate, min, max; none only removes the levels.")
    ] = "mean",
    threads: Threads = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    endpoint: Endpoint = "",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Make the smaller levels of every image, in place of those that the store has."""
    from aqz_core.settings.paths import without_password
    from aqz_core.transcoding.levels import add_pyramid

    s3 = _s3_settings(endpoint, region, profile)
    levels = add_pyramid(
        store, method, s3=s3, threads=threads, workers=workers, scheduler=scheduler
    )
    typer.echo(f"{levels} smaller level{'s' * (levels != 1)} in {without_password(store)}")


@app.command()
def view(
    store: Store,
) -> None:
    """Show a store in napari, where that is installed."""
    from aqz_core.cli.view import run_view

    raise typer.Exit(run_view(store))


def _sizes(option: str, text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of a text like ``"1x512x512"``."""
    if text is None:
        return None
    if not re.fullmatch(r"[1-9]\d{0,8}([xX][1-9]\d{0,8})*", text):
        raise typer.BadParameter(f"--{option} {text!r} is not sizes, for example 1x512x512")
    return tuple(map(int, re.split("[xX]", text)))


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
        Path | None,
        typer.Option(dir_okay=False, help="Write the figures to this file; - prints them."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Draw the figures into this PNG file.")
    ] = None,
) -> None:
    """Measure whether a disk holds a camera; exit code 1 says that no codec does."""
    from aqz_core.cli.bench.command import BenchOptions, run_bench
    from aqz_core.cli.bench.load import CameraLoad

    usual = ["none", "blosc-lz4", "blosc-zstd"]
    options = BenchOptions(
        folder=folder,
        camera=_understood(CameraLoad.parse, camera),
        seconds=seconds,
        codecs=tuple(dict.fromkeys(map(str, codec or usual))),
        pyramid=pyramid,
        json=json,
        plot=plot,
    )
    raise typer.Exit(run_bench(options))


@app.command("c-library")
def c_library(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", file_okay=False, metavar="DIR", help="Folder for include and lib."
        ),
    ],
) -> None:
    """Build libacquire_zarr, by which programs in C and C++ record with this engine."""
    from aqz_core.cli.c_library import build

    raise typer.Exit(build(output))


@app.command()
def plugins(as_json: AsJson = False) -> None:
    """List plug-ins, what they offer, and what is broken; exit code 1 if anything is."""
    from aqz_core.cli.plugins import show_plugins

    raise typer.Exit(show_plugins(as_json=as_json))


config_app = typer.Typer(name="config", help="Check settings files.", no_args_is_help=True)
app.add_typer(config_app)


@config_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A settings file: YAML or JSON.")],
    as_json: AsJson = False,
) -> None:
    """Check a settings file as a stream would, and report what it would record."""
    from aqz_core.cli.config import check_config

    raise typer.Exit(check_config(file, as_json=as_json))


@config_app.command()
def schema() -> None:
    """Print the JSON schema of settings files, for editors that check while one writes."""
    from aqz_core.cli.json_output import print_json
    from aqz_core.settings.files.json_schema import json_schema

    print_json(json_schema())


def _s3_settings(endpoint: str, region: str | None, profile: str | None) -> S3Settings | None:
    """Return how to reach a bucket; None for what the environment says."""
    if not (endpoint or region or profile):
        return None
    from aqz_core.settings.s3 import S3Settings

    return S3Settings(endpoint=endpoint, region=region, profile=profile)


def _understood(parse: Callable[[str], Parsed], text: str) -> Parsed:
    """Return what `parse` makes of an option; what it refuses is wrong usage."""
    try:
        return parse(text)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
