"""Plug-ins: what each hook does, who is asked, and what happens when one is wrong."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
import types
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from aqz_core import (
    ArraySettings,
    Dimension,
    DimensionType,
    StreamSettings,
    ZarrArrayReader,
    ZarrStream,
    list_frames,
    open_stream,
)
from aqz_core.codecs import PluginCompression, chain_for
from aqz_core.downsampling.methods import BUILTIN_DOWNSAMPLERS, Downsampler
from aqz_core.errors import PluginError
from aqz_core.events import StreamOpened
from aqz_core.plugins import (
    OBSERVER_HOOKS,
    PROVIDER_HOOKS,
    CodecProvider,
    FrameProcessor,
    FrameSpec,
    SinkProvider,
    create_plugin_manager,
    discovery,
    frame_function,
    hookimpl,
    hookspecs,
)

SETTINGS = object()  # hooks hand the settings through and never look at them


def plugin(name="Plugin", /, **hooks):
    """An object of class `name` with these hooks."""
    marked = {hook: staticmethod(hookimpl(function)) for hook, function in hooks.items()}
    return type(name, (), marked)()


def gather(*plugins):
    return create_plugin_manager(plugins, load_entry_points=False)


class Reverse:
    """A codec as a plug-in would bring it."""

    name = "reverse"

    def encode(self, data):
        return bytes(data)[::-1]

    def decode(self, data):
        return data[::-1]

    def max_encoded_size(self, nbytes):
        return nbytes

    def v3_metadata(self):
        return {"name": "reverse"}

    def v2_metadata(self):
        return None


REVERSE = CodecProvider("reverse", lambda compression, dtype: Reverse())
NOWHERE = SinkProvider(("nowhere",), lambda url, settings: None)
FIRST = Downsampler(
    name="first",
    reduce_plane=lambda plane, out=None: plane[::2, ::2],
    combine=lambda first, second, out=None: first,
    ngff_type="first",
    ngff_metadata={},
)


@pytest.fixture
def installed(monkeypatch):
    """A way to install plug-ins: ``installed(name, object, distribution)``."""
    found = []

    def install(name, value, distribution="some-distribution"):
        module = types.ModuleType(f"installed_{len(found)}")
        module.value = value
        monkeypatch.setitem(sys.modules, module.__name__, module)
        entry = EntryPoint(name, f"{module.__name__}:value", "aqz")
        dist = types.SimpleNamespace(name=distribution, version="1.2")
        found.append(entry._for(dist))

    monkeypatch.setattr(discovery, "installed_entry_points", lambda path: found)
    return install


# --- every hook -------------------------------------------------------------------------------


def test_aqz_codecs_are_available_by_name():
    codecs = gather(plugin(aqz_codecs=lambda: [REVERSE])).codecs()
    assert set(codecs) == {"blosc", "zstd", "gzip", "crc32c", "reverse"}

    chain = chain_for(PluginCompression("reverse"), np.dtype("u1"), codecs)
    assert chain.encode(b"abc") == b"cba"
    assert chain.v3_metadata()[1] == {"name": "reverse"}


def test_aqz_sinks_are_available_by_scheme(monkeypatch):
    local = SinkProvider(("file", "memory"), lambda url, settings: None)
    monkeypatch.setattr("aqz_core.storage.builtin.BUILTIN_SINKS", (local,), raising=False)
    sinks = gather(plugin(aqz_sinks=lambda: NOWHERE)).sinks()
    assert dict(sinks) == {"file": local, "memory": local, "nowhere": NOWHERE}


def test_aqz_downsamplers_are_available_by_name():
    downsamplers = gather(plugin(aqz_downsamplers=lambda: (FIRST,))).downsamplers()
    assert downsamplers == {one.name: one for one in (*BUILTIN_DOWNSAMPLERS, FIRST)}


def test_aqz_frame_processors_run_by_order_then_name():
    def processors(*names_and_orders):
        records = [FrameProcessor(n, lambda spec: None, order=o) for n, o in names_and_orders]
        return plugin(aqz_frame_processors=lambda settings: records)

    hooks = gather(processors(("b", 0), ("late", 5)), processors(("a", 0), ("early", -1)))
    names = [processor.name for processor in hooks.frame_processors(SETTINGS)]
    assert names == ["early", "a", "b", "late"]
    assert gather().frame_processors(SETTINGS) == ()


def test_aqz_metadata_is_merged():
    seen = []
    first = plugin(aqz_metadata=lambda settings: seen.append(settings) or {"microscope": {"na": 1}})
    second = plugin(aqz_metadata=lambda: {"operator": "Ada"})
    assert gather(first, second, plugin(aqz_metadata=lambda: None)).metadata(SETTINGS) == {
        "microscope": {"na": 1},
        "operator": "Ada",
    }
    assert seen == [SETTINGS]


@pytest.mark.parametrize("hook_name", OBSERVER_HOOKS)
def test_observers_are_resolved_to_functions_of_one_event(hook_name):
    told = []
    hooks = gather(
        plugin("Told", **{hook_name: lambda event: told.append(event)}),
        plugin("Bell", **{hook_name: lambda: told.append("ring")}),
    )
    observers = dict(hooks.observers(hook_name))
    for observer in observers.values():
        observer("event")

    assert set(observers) == {"Told", "Bell"}
    assert set(told) == {"event", "ring"}
    others = [hooks.observers(other) for other in OBSERVER_HOOKS if other != hook_name]
    assert others == [()] * (len(OBSERVER_HOOKS) - 1)


def test_every_hook_is_listed_and_documented():
    specs = {
        name: function
        for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
        if name.startswith("aqz_")
    }
    assert set(specs) == {*PROVIDER_HOOKS, *OBSERVER_HOOKS}
    for function in specs.values():
        assert "Added in hook API" in " ".join(function.__doc__.split())


def test_nobody_observes_by_default():
    hooks = gather()
    assert not any(hooks.observers(hook_name) for hook_name in OBSERVER_HOOKS)


def test_a_name_that_is_no_observer_hook_is_refused():
    with pytest.raises(ValueError, match="'aqz_codecs' is not an observer hook"):
        gather().observers("aqz_codecs")


# --- what a hook may return -------------------------------------------------------------------


def test_hooks_may_return_one_record_many_a_generator_or_none():
    def generator():
        yield REVERSE

    for returned in (lambda: REVERSE, lambda: [REVERSE], generator):
        assert gather(plugin(aqz_codecs=returned)).codecs()["reverse"] is REVERSE
    assert "reverse" not in gather(plugin(aqz_codecs=lambda: None)).codecs()


@pytest.mark.parametrize(
    ("hook_name", "ask"),
    [
        ("aqz_codecs", lambda hooks: hooks.codecs()),
        ("aqz_sinks", lambda hooks: hooks.sinks()),
        ("aqz_downsamplers", lambda hooks: hooks.downsamplers()),
        ("aqz_frame_processors", lambda hooks: hooks.frame_processors(SETTINGS)),
        ("aqz_metadata", lambda hooks: hooks.metadata(SETTINGS)),
    ],
)
def test_wrong_types_and_errors_name_the_plugin(hook_name, ask, monkeypatch):
    monkeypatch.setattr("aqz_core.storage.builtin.BUILTIN_SINKS", (), raising=False)

    def fails():
        yield from ()
        raise ZeroDivisionError("no lens")

    with pytest.raises(PluginError, match=rf"'Odd' \(passed in .*\) returned \(?7.* {hook_name}"):
        ask(gather(plugin("Odd", **{hook_name: lambda: [7]})))
    with pytest.raises(PluginError, match=rf"'Odd' .* failed in {hook_name}: .*no lens") as caught:
        ask(gather(plugin("Odd", **{hook_name: fails})))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CodecProvider("", len), "name of a codec must be a string that is not empty"),
        (lambda: CodecProvider("x", None), "build of a codec must be callable, not None"),
        (lambda: SinkProvider("s3", len), "schemes of a sink must be a tuple"),
        (lambda: SinkProvider(("S3",), len), "must be in lower case and without '://', not 'S3'"),
        (lambda: SinkProvider(("s3://",), len), "without '://'"),
        (lambda: FrameProcessor("x", 3), "prepare of a frame processor must be callable"),
        (lambda: FrameProcessor("x", len, order="first"), "order of a frame processor"),
    ],
)
def test_records_refuse_what_they_cannot_be(build, message):
    with pytest.raises((TypeError, ValueError), match=message):
        build()


# --- clashes ----------------------------------------------------------------------------------


def test_a_codec_name_taken_twice_names_both_plugins(installed):
    installed("backwards", plugin(aqz_codecs=lambda: REVERSE), "aqz-backwards")
    with pytest.raises(PluginError) as caught:
        create_plugin_manager([plugin("Mine", aqz_codecs=lambda: REVERSE)]).codecs()
    assert str(caught.value) == (
        "the codec 'reverse' is offered by plug-in 'backwards' (distribution aqz-backwards 1.2) "
        "and by plug-in 'Mine' (passed in plugins=); leave one of them out"
    )


def test_builtin_names_cannot_be_taken(monkeypatch):
    zstd = CodecProvider("zstd", REVERSE.build)
    with pytest.raises(PluginError, match=r"codec 'zstd' .*'aqz' \(built in\) .* 'Plugin'"):
        gather(plugin(aqz_codecs=lambda: zstd)).codecs()
    with pytest.raises(PluginError, match=f"downsampler '{BUILTIN_DOWNSAMPLERS[0].name}'"):
        gather(plugin(aqz_downsamplers=lambda: BUILTIN_DOWNSAMPLERS[:1])).downsamplers()
    monkeypatch.setattr("aqz_core.storage.builtin.BUILTIN_SINKS", (NOWHERE,), raising=False)
    with pytest.raises(PluginError, match="URL scheme 'nowhere'"):
        gather(plugin(aqz_sinks=lambda: NOWHERE)).sinks()


def test_two_frame_processors_of_one_name_clash():
    records = [FrameProcessor("flat field", lambda spec: None)] * 2
    with pytest.raises(PluginError, match="frame processor 'flat field'"):
        gather(plugin(aqz_frame_processors=lambda: records)).frame_processors(SETTINGS)


def test_metadata_names_clash_or_are_reserved_or_not_json():
    def metadata(*mappings):
        plugins = [plugin(aqz_metadata=lambda given=given: given) for given in mappings]
        return gather(*plugins).metadata(SETTINGS)

    with pytest.raises(PluginError, match=r"metadata name 'a' .*'Plugin' .*'Plugin#2'"):
        metadata({"a": 1}, {"a": 1})
    for reserved in ("ome", "aqz"):
        with pytest.raises(PluginError, match=f"sets the metadata '{reserved}'; .*aqz, ome"):
            metadata({reserved: {}})
    for value in (float("nan"), {1, 2}, np.float32(1)):
        with pytest.raises(PluginError, match="sets the metadata 'a' to a value that is not JSON"):
            metadata({"a": value})
    with pytest.raises(PluginError, match="sets the metadata 3"):
        metadata({3: 1})


# --- who is asked -----------------------------------------------------------------------------


def test_installed_plugins_are_loaded_unless_switched_off(installed, monkeypatch):
    installed("one", plugin(aqz_metadata=lambda: {"one": 1}))
    installed("two", plugin(aqz_metadata=lambda: {"two": 2}))
    assert create_plugin_manager().metadata(SETTINGS) == {"one": 1, "two": 2}
    assert create_plugin_manager(load_entry_points=False).plugin_names == ("aqz",)

    monkeypatch.setenv("AQZ_DISABLE_PLUGINS", "other, two")
    hooks = create_plugin_manager([plugin("two", aqz_metadata=lambda: {"mine": 3})])
    assert hooks.metadata(SETTINGS) == {"one": 1, "mine": 3}
    assert hooks.plugin_names == ("aqz", "one", "two")


def test_a_broken_installed_plugin_is_logged_and_left_out(installed, caplog):
    installed("misspelt", plugin(aqz_codec=lambda: REVERSE), "aqz-misspelt")
    installed("not-there", None)
    installed("fine", plugin(aqz_metadata=lambda: {"fine": True}))

    hooks = create_plugin_manager()

    assert hooks.plugin_names == ("aqz", "fine")
    records = [record for record in caplog.records if record.name == "aqz"]
    messages = [record.getMessage() for record in records]
    assert [record.levelno for record in records] == [logging.ERROR] * 2
    assert "'misspelt' (distribution aqz-misspelt 1.2) cannot be used" in messages[0]
    assert "AQZ_DISABLE_PLUGINS=misspelt" in messages[0]
    assert "aqz_codec" in str(records[0].exc_info[1])


def test_an_installed_plugin_that_cannot_be_imported_is_left_out(monkeypatch, caplog):
    entry = EntryPoint("gone", "aqz_no_such_module", "aqz")
    monkeypatch.setattr(discovery, "installed_entry_points", lambda path: [entry])
    assert create_plugin_manager().plugin_names == ("aqz",)
    assert "'gone' (entry point aqz_no_such_module) cannot be used" in caplog.text


def test_two_distributions_of_one_plugin_name_are_left_out(installed, caplog):
    installed("camera", plugin(aqz_metadata=lambda: None), "aqz-camera")
    installed("camera", plugin(aqz_metadata=lambda: None), "aqz-cameras")
    assert create_plugin_manager().plugin_names == ("aqz",)
    assert "aqz-camera 1.2, distribution aqz-cameras 1.2; uninstall all but one" in caplog.text


FAULTS = {
    "provider fails": {"aqz_codecs": lambda: 1 / 0},
    "provider returns rubbish": {"aqz_sinks": lambda: [7]},
    "metadata are not JSON": {"aqz_metadata": lambda: {"a": {1, 2}}},
    "name clash": {"aqz_codecs": lambda: CodecProvider("zstd", REVERSE.build)},
    "observer fails": {"aqz_stream_opened": lambda event: 1 / 0},
}


@pytest.mark.parametrize("hooks", FAULTS.values(), ids=FAULTS)
def test_a_broken_installed_plugin_keeps_no_recording_from_being_finished(
    installed, hooks, tmp_path, caplog
):
    installed("odd", plugin("Odd", **hooks), "aqz-odd")
    with open_stream(
        tmp_path / "a.zarr", shape=(0, 4, 4), dtype="u1", compression="zstd"
    ) as stream:
        stream.append(np.full((2, 4, 4), 7, "u1"))
    with ZarrStream.resume(tmp_path / "a.zarr") as stream:
        stream.append(np.full((4, 4), 8, "u1"))
    assert ZarrArrayReader(str(tmp_path / "a.zarr/0")).read_plane(2)[0, 0] == 8
    assert "aqz-odd 1.2" in caplog.text


def test_a_frame_processor_that_is_installed_and_fails_is_an_error_before_the_first_frame(
    installed, tmp_path, monkeypatch
):
    installed("odd", plugin("Odd", aqz_frame_processors=lambda: 1 / 0), "aqz-odd")
    with pytest.raises(PluginError, match=r"aqz-odd 1\.2.*AQZ_DISABLE_PLUGINS"):
        open_stream(tmp_path / "a.zarr", shape=(0, 4, 4), dtype="u1")
    monkeypatch.setenv("AQZ_DISABLE_PLUGINS", "odd")  # as the message says
    open_stream(tmp_path / "a.zarr", shape=(0, 4, 4), dtype="u1").close()


def test_a_codec_that_fails_while_recording_is_named_and_what_was_stored_stays(tmp_path):
    class Fragile(Reverse):
        def encode(self, data):
            if bytes(data)[0] == 2:
                raise ZeroDivisionError("two is too many")
            return super().encode(data)

    codecs = plugin(aqz_codecs=lambda: CodecProvider("reverse", lambda *_: Fragile()))
    array = ArraySettings(
        data_type="u1",
        compression=PluginCompression("reverse"),
        dimensions=[
            Dimension(name="t", kind=DimensionType.TIME, chunk_size_px=1, shard_size_chunks=1),
            Dimension(name="y", array_size_px=4, chunk_size_px=4),
            Dimension(name="x", array_size_px=4, chunk_size_px=4),
        ],
    )
    settings = StreamSettings(store_path=str(tmp_path / "a.zarr"), arrays=[array])
    stream = ZarrStream(settings, plugins=[codecs])
    stream.append(np.ones((4, 4), "u1"))
    stream.flush()
    stream.append(np.full((4, 4), 2, "u1"))
    with pytest.raises(PluginError, match=r"codec 'reverse' \(.*two is too many"):
        stream.close()
    assert list_frames(settings.store_path, plugins=[codecs]).written == ((0,),)


@pytest.mark.parametrize(
    ("encoded", "said"),
    [(b"x" * 17, "17 bytes, max_encoded_size said 16"), ("text", "returned str, not bytes")],
)
def test_a_codec_that_breaks_its_word_is_named(tmp_path, encoded, said):
    class Careless(Reverse):
        def encode(self, data):
            return encoded

    codecs = plugin(aqz_codecs=lambda: CodecProvider("reverse", lambda *_: Careless()))
    array = ArraySettings(
        data_type="u1",
        compression=PluginCompression("reverse"),
        dimensions=[
            Dimension(name="t", kind=DimensionType.TIME, chunk_size_px=1, shard_size_chunks=1),
            Dimension(name="y", array_size_px=4, chunk_size_px=4),
            Dimension(name="x", array_size_px=4, chunk_size_px=4),
        ],
    )
    settings = StreamSettings(store_path=str(tmp_path / "a.zarr"), arrays=[array])
    stream = ZarrStream(settings, plugins=[codecs])
    stream.append(np.ones((4, 4), "u1"))
    with pytest.raises(PluginError, match=rf"codec 'reverse' \(.*{said}"):
        stream.close()


def test_of_two_installed_codecs_of_one_name_neither_is_taken(installed, caplog):
    installed("one", plugin(aqz_codecs=lambda: REVERSE), "aqz-one")
    installed("two", plugin(aqz_codecs=lambda: REVERSE), "aqz-two")
    assert "reverse" not in create_plugin_manager().codecs()
    assert "aqz-one 1.2" in caplog.text
    assert "aqz-two 1.2" in caplog.text


def test_what_lies_in_the_working_directory_is_not_installed(tmp_path, monkeypatch):
    (tmp_path / "stray.py").write_text("raise SystemExit('loaded')")
    info = tmp_path / "stray-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stray\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aqz]\nstray = stray\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    monkeypatch.chdir(tmp_path)
    for place in ("", ".", str(tmp_path)):
        assert discovery.installed_entry_points((place,)) == ()
    discovery.installed_entry_points.cache_clear()
    monkeypatch.chdir(elsewhere)
    names = [one.name for one in discovery.installed_entry_points((str(tmp_path),))]
    assert names == ["stray"]


def test_the_same_plugin_installed_and_passed_is_asked_once(installed):
    one = plugin(aqz_codecs=lambda: REVERSE)
    installed("one", one)
    hooks = create_plugin_manager([one, one])
    assert hooks.plugin_names == ("aqz", "one")
    assert "reverse" in hooks.codecs()


def test_modules_and_methods_are_plugins():
    module = types.ModuleType("my_plugin")
    module.aqz_metadata = hookimpl(lambda: {"module": 1})

    class Counter:
        def __init__(self):
            self.asked = 0

        @hookimpl
        def aqz_metadata(self, settings):
            self.asked += 1
            return {"asked": self.asked}

    hooks = gather(module, Counter())
    assert hooks.plugin_names[:2] == ("aqz", "my_plugin")
    assert hooks.plugin_names[2].endswith("Counter")
    assert hooks.metadata(SETTINGS) == {"module": 1, "asked": 1}


def test_managers_share_nothing():
    one = plugin(aqz_codecs=lambda: REVERSE)
    assert "reverse" in gather(one).codecs()
    assert "reverse" not in gather().codecs()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (plugin(aqz_codec=lambda: None), "unknown hook 'aqz_codec'.* The hooks are aqz_codecs,"),
        (plugin(aqz_codecs=lambda settings: None), "settings.*not be found in the hookspec"),
        (plugin(), "has no hook; mark its functions"),
        ("aqz_codecs", "'aqz_codecs' has no hook"),
        (type(plugin(aqz_codecs=lambda: None)), "is a class; pass an instance"),
    ],
)
def test_a_passed_plugin_that_does_not_fit_is_an_error(wrong, message):
    with pytest.raises(PluginError, match=f"(?s){message}"):
        gather(wrong)


def test_wrappers_are_refused():
    class Wrapper:
        @hookimpl(wrapper=True)
        def aqz_codecs(self):
            return (yield)

    with pytest.raises(PluginError, match="wraps aqz_codecs; wrappers are not supported"):
        gather(Wrapper())


def test_importing_loads_no_plugin_and_no_compression_library():
    """Import stays quick, and a broken plug-in cannot break it."""
    code = (
        "import importlib.metadata as m, sys\n"
        "m.entry_points = m.distributions = lambda *a, **k: sys.exit('asked for entry points')\n"
        "import aqz_core.plugins, aqz_core.codecs, aqz_core.recording.observers\n"
        "print([n for n in ('numcodecs', 'fsspec', 's3fs', 'zarr') if n in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


# --- frame processors -------------------------------------------------------------------------

SPEC = FrameSpec("cells", (2, 3), np.dtype("<u2"))
FRAME = np.arange(6, dtype="<u2").reshape(2, 3)


def test_prepared_processors_run_one_after_the_other():
    prepared = []

    def add_channel(frame, index):
        return frame + np.uint16(index[1])

    def prepare(spec):
        prepared.append(spec)
        return add_channel

    function = frame_function(
        [
            FrameProcessor("channel", prepare),
            FrameProcessor("not here", lambda spec: None),
            FrameProcessor("double", lambda spec: lambda frame, index: frame * np.uint16(2)),
        ],
        SPEC,
    )
    np.testing.assert_array_equal(function(FRAME, (9, 1)), (FRAME + 1) * 2)
    np.testing.assert_array_equal(function(FRAME, (9, 2)), (FRAME + 2) * 2)
    assert prepared == [SPEC]


def test_no_processor_means_no_function():
    assert frame_function([], SPEC) is None
    assert frame_function([FrameProcessor("not here", lambda spec: None)], SPEC) is None


def test_a_processor_cannot_write_to_the_callers_frame():
    def clear(frame, index):
        frame[:] = 0
        return frame

    function = frame_function([FrameProcessor("clear", lambda spec: clear)], SPEC)
    frame = FRAME.copy()
    with pytest.raises(PluginError, match=r"'clear' failed at index \(0,\) of array 'cells'"):
        function(frame, (0,))
    np.testing.assert_array_equal(frame, FRAME)
    assert frame.flags.writeable


@pytest.mark.parametrize("returned", [FRAME.astype("u1"), FRAME[:1], None])
def test_a_processor_must_keep_shape_and_type(returned):
    processor = FrameProcessor("crop", lambda spec: lambda frame, index: returned)
    with pytest.raises(PluginError, match=r"'crop' returned .*; it must return uint16 \(2, 3\)"):
        frame_function([processor], SPEC)(FRAME, (0,))


def test_a_processor_that_cannot_be_prepared_is_named():
    def fail(spec):
        raise OSError("no flat field")

    with pytest.raises(PluginError, match=r"'flat' cannot be prepared .* 'cells': .*no flat"):
        frame_function([FrameProcessor("flat", fail)], SPEC)
    with pytest.raises(PluginError, match="'flat' prepared 5 for array 'cells'"):
        frame_function([FrameProcessor("flat", lambda spec: 5)], SPEC)


def test_events_are_frozen():
    event = StreamOpened("store", ("",))
    with pytest.raises(AttributeError):
        event.store_path = "elsewhere"
