"""What the metadata of a stored array say, checked, as one frozen record.

The reading half of array metadata, for `aqz_core.reading.array_reader`, ``aqz info`` and
`aqz_core.recovery`. It is written from the Zarr core specification 3.0 and the
Zarr V2 specification and must not share code with `aqz_core.metadata`, which
writes these documents: one checks the other. Anything that aqz does not write
(other chunk grids, other codecs, transposed or nested shards, filters) is
refused by name.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from aqz_core.errors import StorageError
from aqz_core.reading.json_documents import MALFORMED, parse_json
from aqz_core.storage.names import MAX_DOCUMENT_NBYTES
from aqz_core.storage.regular_files import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["StoredArray", "check_group"]

T = TypeVar("T")

COMPRESSIONS = ("blosc", "zstd", "gzip")
_DATA_TYPES = frozenset(
    ["bool", "float16", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)

_ARRAY_MEMBERS = frozenset(
    (
        *("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding"),
        *("fill_value", "codecs", "attributes", "dimension_names", "storage_transformers"),
    )
)
_GROUP_MEMBERS = frozenset(("zarr_format", "node_type", "attributes", "consolidated_metadata"))
_MOST_AXES = 32
"""Of an array of NumPy 1; of NumPy 2, 64."""
_MOST_CHUNKS_OF_A_SHARD = 2**24
"""The index of such a shard alone takes a quarter of a gigabyte."""

_V2_DTYPE = re.compile("[<>|]([iu][1248]|f[248]|b1)")


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a store, as its metadata describes it.

    Attributes
    ----------
    shape
        Size of each axis, pixels.
    dtype
        Data type of the pixels, in the byte order of this machine.
    byte_order
        Order of the stored bytes of a pixel: ``"<"`` little or ``">"`` big endian.
    chunk_shape
        Shape of what is encoded as one piece, pixels.
    shard_shape
        Shape of what is stored in one file, pixels; None when every chunk has a
        file of its own.
    index_at_end
        Whether a shard's index stands at the end of its file, or at the start.
    codecs
        Codec documents that follow ``bytes``, in the order of encoding; the
        ``compressor`` of Zarr V2 is given as V3 would spell it.
    fill_value
        Value of the pixels that were never written.
    dimension_names
        Name of each axis, None for an axis without; Zarr V2 has no names.
    key_prefix, key_separator
        What a chunk key begins with, and what stands between its numbers.
    attributes
        What the ``attributes`` of ``zarr.json`` hold; Zarr V2 has them in another file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    byte_order: Literal["<", ">"]
    chunk_shape: tuple[int, ...]
    shard_shape: tuple[int, ...] | None
    index_at_end: bool
    codecs: tuple[Mapping[str, Any], ...]
    fill_value: np.generic
    dimension_names: tuple[str | None, ...]
    key_prefix: str
    key_separator: str
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> StoredArray:
        """Return the array stored in the folder `path`.

        Raises
        ------
        StorageError
            There is no array, its metadata is broken, or it uses something that
            aqz does not write; the message names the file.
        """
        return cls.parse(_read_document(path), Path(path) / "zarr.json")

    @classmethod
    def parse(cls, document: Mapping[str, Any], file: Path | str) -> StoredArray:
        """Return the array that a ``zarr.json``, or a ``.zarray`` of Zarr V2, describes.

        Parameters
        ----------
        document
            The parsed JSON of an array.
        file
            Where it was read, for messages.

        Raises
        ------
        StorageError
            As `open`.
        """
        parse = _parse_v2 if document.get("zarr_format") == 2 else _parse_v3
        return _checked(lambda: parse(document), file)


def _read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the ``zarr.json`` document of the group or array in the folder `path`.

    Raises
    ------
    StorageError
        The file is missing, unreadable, or not a Zarr V3 document.
    """
    file = Path(path) / "zarr.json"
    try:
        with os.fdopen(open_regular(file, os.O_RDONLY, follow=True), "rb") as stream:
            document = parse_json(stream.read(MAX_DOCUMENT_NBYTES))
    except (FileNotFoundError, NotADirectoryError) as error:
        is_v2 = any((file.parent / name).exists() for name in (".zarray", ".zgroup"))
        hint = "it holds Zarr V2, which is not read here" if is_v2 else "is it the path of a store?"
        raise StorageError(f"{file}: no such file; {hint}") from error
    except OSError as error:
        raise StorageError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise StorageError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(document, dict) or document.get("zarr_format") != 3:
        raise StorageError(f"{file}: not a Zarr V3 document (zarr_format must be 3)")
    return document


def check_group(document: Mapping[str, Any], file: Path | str) -> None:
    """Raise `StorageError` if the ``zarr.json`` of a group has what its readers must refuse."""
    _checked(lambda: _check_members(document, _GROUP_MEMBERS), file)


def _checked(parse: Callable[[], T], file: Path | str) -> T:
    """Return what `parse` makes of a document; its errors name the file."""
    try:
        return parse()
    except KeyError as error:
        raise StorageError(f"{file}: {error} is missing") from error
    except MALFORMED as error:
        raise StorageError(f"{file}: {error}") from error


def _parse_v3(document: Mapping[str, Any]) -> StoredArray:
    """Return the record of a document; any of the plain errors when it is malformed."""
    if document["node_type"] != "array":
        raise ValueError(
            f"a {document['node_type']}, not an array; give the path of an array in it, such as "
            "that of the level '0' of an image"
        )
    _check_members(document, _ARRAY_MEMBERS)
    shape = _sizes(document["shape"])
    if not isinstance(document["data_type"], str) or document["data_type"] not in _DATA_TYPES:
        raise ValueError(f"unknown data_type {document['data_type']!r}")
    dtype = np.dtype(document["data_type"])
    if document["chunk_grid"]["name"] != "regular":
        raise ValueError(f"unknown chunk grid {document['chunk_grid']['name']!r}")

    grid = _configuration(document["chunk_grid"], "chunk_shape")
    chunk_shape = _chunk_shape(grid["chunk_shape"], shape)
    shard_shape, index_at_end, codecs = None, True, document["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        if len(codecs) > 1:
            raise ValueError(f"codec {codecs[1]['name']!r} around shards is not supported")
        sharding = _configuration(
            codecs[0], "chunk_shape", "codecs", "index_codecs", "index_location"
        )
        shard_shape, chunk_shape = chunk_shape, _chunk_shape(sharding["chunk_shape"], shape)
        if any(s % c for s, c in zip(shard_shape, chunk_shape, strict=True)):
            raise ValueError(f"shard shape {shard_shape} is no multiple of chunks {chunk_shape}")
        if math.prod(shard_shape) // math.prod(chunk_shape) > _MOST_CHUNKS_OF_A_SHARD:
            raise ValueError(f"shards of {shard_shape} have too many chunks of {chunk_shape}")
        index_at_end, codecs = _index_at_end(sharding), sharding["codecs"]

    byte_order, compression = _codec_chain(codecs)
    prefix, separator = _key_encoding(document["chunk_key_encoding"])
    return StoredArray(
        shape=shape,
        dtype=dtype,
        byte_order=byte_order,
        chunk_shape=chunk_shape,
        shard_shape=shard_shape,
        index_at_end=index_at_end,
        codecs=compression,
        fill_value=_fill_value(document["fill_value"], dtype),
        dimension_names=_dimension_names(document.get("dimension_names"), len(shape)),
        key_prefix=prefix,
        key_separator=separator,
        attributes=dict(document.get("attributes") or {}),
    )


def _parse_v2(document: Mapping[str, Any]) -> StoredArray:
    """Return the record of a Zarr V2 document; any of the plain errors when it is malformed."""
    shape = _sizes(document["shape"])
    if not isinstance(document["dtype"], str) or not _V2_DTYPE.fullmatch(document["dtype"]):
        raise ValueError(f"unknown dtype {document['dtype']!r}")
    dtype = np.dtype(document["dtype"]).newbyteorder("=")
    if document["order"] != "C" or document["filters"] not in (None, []):
        raise ValueError(
            f"order {document['order']!r} with filters {document['filters']!r} is not supported"
        )
    fill = document["fill_value"]
    return StoredArray(
        shape=shape,
        dtype=dtype,
        byte_order=">" if document["dtype"][0] == ">" else "<",
        chunk_shape=_chunk_shape(document["chunks"], shape),
        shard_shape=None,
        index_at_end=True,
        codecs=_v2_codecs(document["compressor"], dtype),
        fill_value=_fill_value(0 if fill is None else fill, dtype),
        dimension_names=(None,) * len(shape),
        key_prefix="",
        key_separator=_v2_separator(document.get("dimension_separator", ".")),
    )


def _check_members(document: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise `ValueError` if a V3 document has members that its readers must refuse."""
    for name, value in document.items():
        ignored = isinstance(value, dict) and value.get("must_understand") is False
        if name not in known and not ignored:
            raise ValueError(f"the member {name!r} is unknown, and not said to be optional")
    if not isinstance(document.get("attributes", {}), dict):
        raise TypeError("attributes are not an object")
    if document.get("storage_transformers", []) != []:
        raise ValueError(
            f"storage_transformers are {document['storage_transformers']!r}, not an empty list"
        )


def _configuration(part: Any, *known: str) -> Mapping[str, Any]:
    """Return the configuration of a named part of a document, which has no other members."""
    found = part.get("configuration", {})
    if not isinstance(found, dict) or not found.keys() <= set(known):
        raise ValueError(f"the configuration of {part['name']!r} is {found!r}")
    return found


def _sizes(values: Any) -> tuple[int, ...]:
    """Return a list of whole numbers."""
    if not isinstance(values, list) or not all(type(n) is int and n >= 0 for n in values):
        raise ValueError(f"{values!r} is not a list of whole numbers")
    if len(values) > _MOST_AXES:
        raise ValueError(f"{len(values)} axes are more than any array can have")
    if any(n >= 2**63 for n in values):
        raise ValueError(f"{values!r} is larger than any array can be")
    return tuple(values)


def _dimension_names(names: Any, rank: int) -> tuple[str | None, ...]:
    """Return the name of each axis."""
    if names is None:
        return (None,) * rank
    is_list = isinstance(names, list) and len(names) == rank
    if not is_list or not all(name is None or isinstance(name, str) for name in names):
        raise ValueError(f"dimension_names {names!r} are not a name or null for each axis")
    return tuple(names)


def _v2_separator(separator: Any) -> str:
    """Return what stands between the numbers of a chunk's name."""
    if separator not in (".", "/"):
        raise ValueError(f"unknown dimension_separator {separator!r}")
    return str(separator)


def _v2_codecs(
    compressor: Mapping[str, Any] | None, dtype: np.dtype[Any]
) -> tuple[Mapping[str, Any], ...]:
    """Return a V2 ``compressor`` as the codecs that V3 would have for it."""
    if compressor is None:
        return ()
    configuration = dict(compressor)
    name = configuration.pop("id")
    if name not in COMPRESSIONS:
        raise ValueError(f"unknown compressor {name!r}")
    if name == "blosc":
        configuration["typesize"] = dtype.itemsize
        shuffle = configuration.get("shuffle", 1)
        automatic = "bitshuffle" if dtype.itemsize == 1 else "shuffle"
        names = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle", -1: automatic}
        if type(shuffle) is not int or shuffle not in names:
            raise ValueError(f"unknown shuffle {shuffle!r} of blosc")
        configuration["shuffle"] = names[shuffle]
    return ({"name": name, "configuration": configuration},)


def _chunk_shape(chunk_shape: Any, shape: Sequence[int]) -> tuple[int, ...]:
    """Return a chunk shape that has been checked against the array's axes."""
    grid = _sizes(chunk_shape)
    if len(grid) != len(shape) or min(grid, default=1) < 1:
        raise ValueError(f"chunk shape {grid} does not fit the shape {tuple(shape)}")
    return grid


def _index_at_end(sharding: Mapping[str, Any]) -> bool:
    """Return where the index of a shard stands; its codecs must be the usual two."""
    location = sharding.get("index_location", "end")
    names = [codec["name"] for codec in sharding["index_codecs"]]
    if location not in ("start", "end") or names != ["bytes", "crc32c"]:
        raise ValueError(f"unknown shard index: location {location!r}, codecs {names}")
    if _configuration(sharding["index_codecs"][0], "endian")["endian"] != "little":
        raise ValueError("the index of shards is not little endian")
    _configuration(sharding["index_codecs"][1])
    return bool(location == "end")


def _codec_chain(
    codecs: Sequence[Mapping[str, Any]],
) -> tuple[Literal["<", ">"], tuple[Mapping[str, Any], ...]]:
    """Return the byte order, and the codecs that work on bytes, which plug-ins may have to know."""
    for place, codec in enumerate(codecs):
        if not isinstance(codec["name"], str) or (place == 0 and codec["name"] != "bytes"):
            raise ValueError(f"unknown codec {codec['name']!r} at place {place} of the chain")
        if not isinstance(codec.get("configuration", {}), dict):
            raise TypeError(f"the configuration of the codec {codec['name']!r} is not an object")
    endian = _configuration(codecs[0], "endian").get("endian", "little")
    if endian not in ("little", "big"):
        raise ValueError(f"unknown endian {endian!r}")
    return "<" if endian == "little" else ">", tuple(codecs[1:])


def _key_encoding(encoding: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a chunk key begins with and what separates its numbers."""
    configuration = _configuration(encoding, "separator")
    usual = {"default": "/", "v2": "."}
    if encoding["name"] not in usual:
        raise ValueError(f"unknown chunk key encoding {encoding['name']!r}")
    separator = configuration.get("separator", usual[encoding["name"]])
    if separator not in ("/", "."):
        raise ValueError(f"unknown separator {separator!r} of chunk keys")
    return "" if encoding["name"] == "v2" else f"c{separator}", separator


def _fits(value: int, dtype: np.dtype[Any]) -> bool:
    """Return whether a whole number is one of a data type."""
    limits = np.iinfo(dtype)
    return int(limits.min) <= value <= int(limits.max)


def _fill_value(value: Any, dtype: np.dtype[Any]) -> np.generic:
    """Return the scalar that a ``fill_value`` of ``zarr.json`` stands for."""
    if isinstance(value, str) and value.startswith("0x") and dtype.kind == "f":
        bits = int(value, 16).to_bytes(dtype.itemsize, "little")
        number: np.generic = np.frombuffer(bits, dtype.newbyteorder("<")).astype(dtype)[0]
        return number
    wanted = {"b": (bool,), "f": (int, float, str)}.get(dtype.kind, (int,))
    if type(value) not in wanted or (dtype.kind in "iu" and not _fits(value, dtype)):
        raise ValueError(f"fill_value {value!r} does not fit the data type {dtype}")
    scalar: np.generic = dtype.type(value)  # "NaN" and "Infinity" are spelt as numpy reads them
    return scalar
