"""Every block of code and every command in the README and the pages runs, and prints what it says.

The blocks of a page run one after the other, in an empty folder. HTML comments, which readers do
not see, say what is special::

    <!-- prints -->              the next block is what the one before printed
    <!-- not run: reason -->     the next block is only read, because ...
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import re
import shlex
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest

from aqz_core.cli import main
from aqz_core.plugins import OBSERVER_HOOKS, PROVIDER_HOOKS, hookspecs
from aqz_core.settings.files.json_schema import json_schema
from docs import draw_chunks

CHECKOUT = Path(__file__).parent.parent
DOCS = CHECKOUT / "docs"

# Pages whose blocks need what is named here; they are tested where it says.
ELSEWHERE = {
    "micromanager.md": "needs a Micro-Manager core: tests/micromanager",
    "napari.md": "needs a viewer: tests/napari",
    "object-stores.md": "needs a bucket: tests/s3",
    "dataset.md": "needs dask and xarray: tests/test_dataset_pages.py",
    "transcoding.md": "tests/test_dataset_pages.py",
    "c-library.md": "needs a C compiler: tests/c_library",
    "architecture.md": "listings for reading: tests/test_architecture.py",
    "decisions/0002-live-shards.md": "bytes drawn for reading",
}
PAGES = {str(path.relative_to(DOCS)): path for path in sorted(DOCS.rglob("*.md"))}
RUN = {
    "README.md": CHECKOUT / "README.md",
    **{name: path for name, path in PAGES.items() if name not in ELSEWHERE},
}


class Block(NamedTuple):
    """A fenced block: its language, its text, its line, and the comment before it."""

    language: str
    text: str
    line: int
    comment: str


def blocks(path):
    text = path.read_text(encoding="utf-8")
    pattern = r"(?:^<!-- ([^>]*) -->\n)?^```([\w]*)[^\n]*\n(.*?)^```"
    return [
        Block(found[2], found[3], text[: found.start(2)].count("\n") + 2, found[1] or "")
        for found in re.finditer(pattern, text, re.DOTALL | re.MULTILINE)
    ]


def run_python(block, name, namespace):
    """Return what a block of Python prints."""
    printed = io.StringIO()
    source = "\n" * (block.line - 1) + block.text  # so that tracebacks name lines of the page
    with contextlib.redirect_stdout(printed):
        exec(compile(source, name, "exec"), namespace)
    return printed.getvalue()


def run_commands(block, capfd):
    """Run the commands of a block and return what they print."""
    capfd.readouterr()
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[0] == "aqz", f"{line!r} is not a command of aqz; mark the block"
        assert main(words[1:]) == 0, capfd.readouterr().err
    return capfd.readouterr().out


@pytest.mark.parametrize("name", RUN)
def test_blocks_run(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    printed = ""
    for block in blocks(RUN[name]):
        if block.comment.startswith("not run: "):
            assert len(block.comment) > len("not run: ") + 5
            if block.language == "python":
                compile(block.text, name, "exec")
        elif block.comment == "prints":
            assert printed == block.text, f"{name}:{block.line}"
        elif block.language == "python":
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                printed = run_python(block, name, namespace)
        elif block.language == "bash":
            printed = run_commands(block, capfd)
        else:
            assert block.language in ("mermaid", "toml", "yaml"), f"{name}:{block.line}: say what"
    stream = namespace.get("stream")
    assert stream is None or not stream.is_active()


@pytest.mark.parametrize("name", [name for name in ELSEWHERE if name in PAGES])
def test_python_that_runs_elsewhere_is_python(name):
    for block in blocks(PAGES[name]):
        if block.language == "python":
            compile(block.text.replace(", ...)", ")"), name, "exec")


def test_the_page_of_hooks_has_every_hook_with_its_arguments():
    headings = re.findall(
        r"^### `(\w+)\((.*)\)`$", PAGES["reference/hooks.md"].read_text(), re.MULTILINE
    )
    assert headings == [
        (name, ", ".join(inspect.signature(getattr(hookspecs, name)).parameters))
        for name in (*PROVIDER_HOOKS, *OBSERVER_HOOKS)
    ]


def test_the_reference_has_every_public_name():
    import aqz_core

    text = PAGES["reference/api.md"].read_text()
    listed = set(re.findall(r"^::: aqz_core(?:\.\w+)*\.(\w+)$", text, re.MULTILINE))
    errors = set(aqz_core.errors.__all__)  # they come with their module
    constants = {"COMPRESSION_NAMES", "FrameFunction", "hookimpl"}  # described where they are used
    assert set(aqz_core.__all__) - errors - constants - listed == set()


def test_the_schema_of_settings_files_is_current():
    text = (DOCS / "reference" / "settings.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == json_schema(), (
        "run: aqz config schema > docs/reference/settings.schema.json"
    )


def test_the_picture_of_chunks_is_current():
    assert draw_chunks.PICTURE.read_text(encoding="utf-8") == draw_chunks.picture(), (
        "run: python docs/draw_chunks.py"
    )


def test_every_page_is_in_the_navigation():
    navigation = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [name for name in PAGES if f" {name}\n" not in navigation] == []


def messages():
    """Every text in the engine, with an ellipsis where values stand."""
    for file in (CHECKOUT / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    one.value if isinstance(one, ast.Constant) else "..." for one in node.values
                ]
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%\.?\w", "...", node.value)


def test_troubleshooting_quotes_messages_that_there_are():
    text = PAGES["troubleshooting.md"].read_text(encoding="utf-8")
    quoted = re.findall(r"\*\*(.+?)\*\* \((?:`\w+`|in the log)\)", text)
    wanted = [message for one in quoted for message in re.findall(r"`([^`]+)`", one)]
    assert len(wanted) > 15
    known = list(messages())

    def is_known(message):
        pieces = [piece.strip() for piece in message.split("...") if piece.strip()]
        return any(all(piece in one for piece in pieces) for one in known)

    assert [message for message in wanted if not is_known(message)] == []
