"""Config files and places that are not to be trusted: refused in time, and no secret is told."""

from __future__ import annotations

import pytest

import aqz_core as aqz
from aqz_core.settings.paths import without_password


def aliases(levels):
    """Return a document whose every line stands for the one before nine times."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def merges(levels):
    """Return the same with merged mappings."""
    nine = [f"<<: [{', '.join([f'*m{n}'] * 9)}]" for n in range(levels)]
    lines = ["m0: &m0 {k0: 1}"]
    lines += [f"m{n}: &m{n} {{{nine[n - 1]}, k{n}: 1}}" for n in range(1, levels)]
    return "\n".join(lines)


CYCLE: dict[str, object] = {}
CYCLE["inside"] = CYCLE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (aliases(12), "aliases of aliases"),
        (merges(12), "aliases of aliases"),
        ("a: &x [*x]", "does an alias hold itself?"),
        ("[" * 100_000, "nested too deep"),
        ("{a: " * 500 + "1" + "}" * 500, "nested too deep"),
        ("\t" + "[" * 900 + "]" * 900, "nested too deep"),
        ("max_threads: " + "9" * 10_000, "has no value"),
        ("max_threads: 0x" + "f" * 10_000, "too large"),
        ("store_path: 2001-99-99", "put text into quotes"),
    ],
)
def test_a_document_that_means_too_much_is_refused(text, told):
    with pytest.raises(aqz.SettingsError, match=told) as caught:
        aqz.StreamSettings.from_string(text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("document", "told"),
    [(CYCLE, "nested too deep"), ({"a": 10**5000}, "too large"), ({10**5000: 1}, "too large")],
)
def test_values_that_mean_too_much_are_refused(document, told):
    with pytest.raises(aqz.SettingsError, match=told):
        aqz.StreamSettings.from_dict(document)


def test_merged_mappings_count_in_their_order():
    array = "{data_type: uint8, dimensions: [&t {type: time, array_size_px: 0, chunk_size_px: 1, "
    array += "name: t}, &y {type: space, array_size_px: 8, chunk_size_px: 8, name: y}, "
    array += "{<<: [{name: x}, *y], chunk_size_px: 4}]}"
    settings = aqz.StreamSettings.from_string(f"store_path: s\narrays: [{array}]")
    x = settings.arrays[0].dimensions[2]
    assert (x.name, x.array_size_px, x.chunk_size_px) == ("x", 8, 4)


@pytest.mark.parametrize("s3", ["SECRET", "[SECRET]", "{endpoint: e, secret: [SECRET]}"])
def test_a_secret_in_the_wrong_place_is_not_shown(s3):
    with pytest.raises(aqz.SettingsError) as caught:
        aqz.StreamSettings.from_string(f"store_path: x\ns3: {s3}")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("sftp://me:pw@host/x", "sftp://me@host/x"),
        ("sftp:/me:pw@host/x", "sftp:/me@host/x"),
        ("s3://me:p/w@host/b", "s3://me@host/b"),
        ("s3://me:a@b:c@host/b", "s3://me@host/b"),
        ("sftp://me@host/x", "sftp://me@host/x"),
        ("http://host:9000/a@b", "http://host:9000/a@b"),
        ("/data/a:b@c", "/data/a:b@c"),
        ("C:/data/a:b@c", "C:/data/a:b@c"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
    ],
)
def test_passwords_are_shown_nowhere(given, shown):
    assert without_password(given) == shown


def test_half_a_url_is_corrected_without_its_password():
    with pytest.raises(aqz.SettingsError) as caught:
        aqz.open_stream("sftp:/me:pw@host/x", shape=(0, 8, 8), dtype="uint8")
    assert "sftp://me@host/x" in str(caught.value)
    assert "pw" not in str(caught.value)
