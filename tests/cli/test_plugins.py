"""``aqz plugins`` and ``aqz config``: what is installed, and what a settings file comes to."""

from __future__ import annotations

import json
import re
import types
from importlib.metadata import EntryPoint

import jsonschema
import pytest
import yaml

from aqz_core import CodecProvider, StreamSettings
from aqz_core.cli import main
from aqz_core.plugins import discovery
from aqz_core.settings.files.json_schema import json_schema
from tests.core.plugins.test_hooks import REVERSE, installed, plugin  # noqa: F401  # a fixture

GOOD = """\
store_path: run.ome.zarr
arrays:
  - output_key: image
    data_type: uint16
    compression: {compressor: zstd, codec: zstd, level: 1, shuffle: 0}
    dimensions:
      - {name: t, type: time, array_size_px: 0, chunk_size_px: 1, shard_size_chunks: 16}
      - {name: y, type: space, array_size_px: 64, chunk_size_px: 64, shard_size_chunks: 1}
      - {name: x, type: space, array_size_px: 64, chunk_size_px: 64, shard_size_chunks: 1}
"""


def listed(capsys):
    code = main(["plugins", "--json"])
    plugins = json.loads(capsys.readouterr().out)["plugins"]
    return code, {one["distribution"]: one for one in plugins}


def test_built_in_parts_are_listed(capsys):
    _, plugins = listed(capsys)
    assert plugins["built in"]["offers"]["codec"] == ["blosc", "zstd", "gzip", "crc32c"]
    assert plugins["built in"]["problems"] == []


def test_each_broken_plugin_is_listed_with_its_distribution(installed, capsys):  # noqa: F811
    clash = CodecProvider("zstd", REVERSE.build)
    installed("fine", plugin(aqz_codecs=lambda: REVERSE), "aqz-fine")
    installed("twice", plugin(aqz_codecs=lambda: REVERSE), "aqz-twice")
    installed("fails", plugin(aqz_sinks=lambda: 1 / 0), "aqz-fails")
    installed("misspelt", plugin(aqz_codec=lambda: REVERSE), "aqz-misspelt")
    installed("takes", plugin(aqz_codecs=lambda: clash), "aqz-takes")
    code, plugins = listed(capsys)
    assert code == 1
    problems = {name: " ".join(one["problems"]) for name, one in plugins.items()}
    assert "'reverse' is offered by 'twice' (aqz-twice 1.2)" in problems["aqz-fine 1.2"]
    assert "ZeroDivisionError" in problems["aqz-fails 1.2"]
    assert "unknown hook 'aqz_codec'" in problems["aqz-misspelt 1.2"]
    assert "'zstd' is offered by 'aqz' (built in)" in problems["aqz-takes 1.2"]
    assert problems["built in"] == ""

    assert main(["plugins"]) == 1
    text = capsys.readouterr().out
    assert "fails (aqz-fails 1.2) - broken\n" in text


def test_a_plugin_that_exits_when_it_is_imported_ends_nothing(monkeypatch, capsys, tmp_path):
    module = tmp_path / "aqz_leaves.py"
    module.write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("leaves", "aqz_leaves", "aqz")
    dist = types.SimpleNamespace(name="aqz-leaves", version="1")
    monkeypatch.setattr(discovery, "installed_entry_points", lambda path: [entry._for(dist)])
    code, plugins = listed(capsys)
    assert (code, plugins["aqz-leaves 1"]["problems"]) == (1, ["it exits: SystemExit(3)"])


def test_switched_off_plugins_are_listed_and_not_loaded(installed, monkeypatch, capsys):  # noqa: F811
    installed("odd", object(), "aqz-odd")
    monkeypatch.setenv("AQZ_DISABLE_PLUGINS", "odd")
    code, plugins = listed(capsys)
    assert (code, plugins["aqz-odd 1.2"]["is_disabled"]) == (0, True)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "recording.yaml"


def test_a_settings_file_that_can_be_recorded(file, capsys):
    file.write_text(GOOD)
    assert main(["config", "check", str(file), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["store"], document["arrays"]) == ("run.ome.zarr", ["image"])
    assert document["memory_bytes"] > 0
    assert main(["config", "check", str(file)]) == 0
    assert "can be recorded" in capsys.readouterr().out
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("chunk_size: 1", "chunk_size_px: 1", "line 7.*did you mean 'chunk_size_px'"),
        ("type: tme", "type: time", "line 7.*'tme'.*'time'"),
        ("size_px: 0, chunk_size_px: 64", "size_px: 64, chunk_size_px: 64", "unlimited"),
    ],
)
def test_a_settings_file_that_cannot(file, capsys, wrong, right, message):
    file.write_text(GOOD.replace(right, wrong, 1))
    assert main(["config", "check", str(file)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert re.search(message, line), line


def test_the_schema_takes_what_can_be_read_and_marks_mistakes(tmp_path):
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(validator.schema)
    assert validator.is_valid(yaml.safe_load(GOOD))
    assert validator.is_valid(StreamSettings.from_string(GOOD).to_dict())
    for wrong in ("store_paht: a", "arrays: 3", "zarr_version: 4", "overwrite: {}"):
        assert not validator.is_valid({**yaml.safe_load(GOOD), **yaml.safe_load(wrong)}), wrong
