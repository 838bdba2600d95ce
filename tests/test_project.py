"""The project's own files agree with each other, and what is built from them works elsewhere."""

import os
import re
import shutil
import subprocess
import tomllib
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from ruamel.yaml import YAML

import engine as package
from engine.cli import main
from engine.system import extras
from tests.processes import ROOT, environment, output, run
from tests.test_public_names import code_in_markdown

pytestmark = pytest.mark.compiled

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
WORKFLOWS = ROOT / ".github" / "workflows"
WORKFLOW = WORKFLOWS / "tests.yml"
COMMANDS = [command.name for command in main.app.registered_commands]
TEST_COMMAND = "make test"


def readme_code() -> str:
    return code_in_markdown((ROOT / "README.md").read_text(encoding="utf-8"))


# What is to be installed.


@pytest.mark.parametrize("extra", extras.PACKAGES)
def test_messages_name_the_packages_of_an_extra_as_the_project_has_them(extra):
    named = [one.strip("'") for one in extras.PACKAGES[extra].split()]
    wanted = []
    for requirement in PROJECT["optional-dependencies"][extra]:
        other = re.fullmatch(r"mlp-engine\[(\w+)\]", requirement)
        wanted += [extras.PACKAGES[other[1]]] if other else [requirement.partition(">=")[0]]
    assert named == wanted


def test_nobody_is_told_to_install_extras_by_a_name_that_no_index_has():
    """`mlp-engine` is not on an index; tools/ and pyproject.toml may name it for themselves."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("changelog.d/*.md")]
    for path in [*pages, *ROOT.glob("engine/**/*.py"), *ROOT.glob("engine/**/*.html")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"pip install ['\"]?mlp-engine|mlp-engine\\*\[", text), path


# Continuous integration.


@pytest.fixture(scope="module")
def job():
    workflow = YAML(typ="safe").load(WORKFLOW.read_text(encoding="utf-8"))
    return workflow["jobs"]["tests"]


def check_workflow(path: Path) -> subprocess.CompletedProcess[str]:
    """Validate without a way to the network: the schema comes with the tool."""
    nowhere = "http://127.0.0.1:9"
    blocked = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    schema = ("--builtin-schema", "vendor.github-workflows")
    return run("-m", "check_jsonschema", *schema, path, env=blocked)


@pytest.mark.sample(1)
@pytest.mark.parametrize("path", sorted(WORKFLOWS.iterdir()), ids=lambda path: path.stem)
def test_the_workflow_is_valid(path):
    done = check_workflow(path)
    assert done.returncode == 0, done.stdout


def test_a_workflow_that_is_not_valid_would_be_found(tmp_path):
    broken = tmp_path / "tests.yml"
    text = WORKFLOW.read_text(encoding="utf-8")
    broken.write_text(text.replace("runs-on:", "run-on:"), encoding="utf-8")
    assert check_workflow(broken).returncode == 1


def test_the_workflow_runs_on_three_operating_systems(job):
    systems = {name.partition("-")[0] for name in job["strategy"]["matrix"]["os"]}
    assert systems == {"ubuntu", "macos", "windows"}
    assert job["runs-on"] == "${{ matrix.os }}"


def python_classifiers() -> list[tuple[int, int]]:
    pattern = re.compile(r"Programming Language :: Python :: (\d+)\.(\d+)")
    found = map(pattern.fullmatch, PROJECT["classifiers"])
    return sorted((int(match[1]), int(match[2])) for match in found if match)


def test_the_workflow_covers_the_oldest_and_the_newest_python(job):
    tested = [tuple(map(int, v.split("."))) for v in job["strategy"]["matrix"]["python"]]
    versions = python_classifiers()
    assert len(versions) > 1
    assert {versions[0], versions[-1]} <= set(tested) <= set(versions)
    (setup,) = [step for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert setup["with"]["python-version"] == "${{ matrix.python }}"


def test_the_oldest_python_is_the_one_that_is_required():
    major, minor = python_classifiers()[0]
    assert PROJECT["requires-python"] == f">={major}.{minor}"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{major}{minor}"
    assert f"Python {major}.{minor} or newer" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_workflow_runs_the_test_command(job):
    assert any(re.match(rf"{TEST_COMMAND}\b", step.get("run", "")) for step in job["steps"])


def test_the_benchmark_jobs_run_what_a_person_runs_and_see_the_whole_history():
    workflow = YAML(typ="safe").load((WORKFLOWS / "benchmarks.yml").read_text(encoding="utf-8"))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert commands
        for command in commands:
            assert re.fullmatch(r"make ([\w-]+)( \w+=\S+)*", command), command
            assert command.split()[1] in targets
        (checkout,) = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
        assert checkout["with"]["fetch-depth"] == 0
        assert job["concurrency"]["group"]


def test_a_workflow_takes_every_proof_each_night():
    workflow = YAML(typ="safe").load((WORKFLOWS / "proofs.yml").read_text(encoding="utf-8"))
    assert workflow["on"]["schedule"]
    (job,) = workflow["jobs"].values()
    assert job["env"] == {"ENGINE_BROWSER": "required"}
    assert any(re.match(r"make proofs\b", step.get("run", "")) for step in job["steps"])


def test_ci_run_is_the_readme_s_test_command():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert commands[-1] == f"exec {TEST_COMMAND}"
    assert re.search(rf"^{TEST_COMMAND}\b", readme_code(), flags=re.MULTILINE)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permission")
def test_ci_run_may_be_executed():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# What the package needs and says of itself.


def test_the_core_dependencies_are_those_of_the_design():
    names = [re.match(r"[\w-]+", requirement) for requirement in PROJECT["dependencies"]]
    assert sorted(name[0] for name in names if name) == sorted(
        [
            *("numpy", "numba", "scipy", "scikit-learn", "safetensors"),
            *("threadpoolctl", "rich", "typer"),
        ]
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_documents_every_command(command):
    assert re.search(rf"\bengine {command}\b", readme_code())


# Changelog fragments.

KINDS = [kind["directory"] for kind in PYPROJECT["tool"]["towncrier"]["type"]]
FRAGMENTS = ROOT / PYPROJECT["tool"]["towncrier"]["directory"]


def is_fragment(name: str) -> bool:
    """`name.kind.md`, which towncrier would otherwise pass over without a word."""
    return re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(KINDS)})\.md", name) is not None


def test_the_kinds_of_change_are_those_of_the_style_guide():
    assert KINDS == ["added", "changed", "fixed", "numerics", "performance"]


def test_every_changelog_fragment_is_of_a_known_kind_and_says_something():
    files = [path for path in FRAGMENTS.iterdir() if not path.name.startswith(".")]
    assert [path.name for path in files if not is_fragment(path.name)] == []
    assert [path.name for path in files if not path.read_text(encoding="utf-8").strip()] == []


@pytest.mark.parametrize("name", ["cache.md", "cache.improved.md", "cache.added", "a.b.added.md"])
def test_a_fragment_of_no_known_kind_would_be_found(name):
    assert not is_fragment(name)
    assert is_fragment("cache.added.md")


# The wheel, built from a copy so that the working tree stays as it is.


def pip(*arguments: str | Path) -> None:
    done = run("-m", "pip", "--disable-pip-version-check", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    left_behind = shutil.ignore_patterns(
        ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
    )
    copy = shutil.copytree(ROOT, folder / "copy", ignore=left_behind)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    pip("wheel", copy, *options, "--wheel-dir", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that holds the package and nothing of the clone."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", wheel, "--no-deps", "--no-index", "--quiet", "--target", folder)
    return folder


def read(wheel: Path, ending: str) -> str:
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(f".dist-info/{ending}")]
        return archive.read(name).decode()


@pytest.mark.proof
def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert top == {"engine", f"mlp_engine-{package.__version__}.dist-info"}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "engine").rglob("*.py")}
    report = {f"engine/comparison/report/page.{ending}" for ending in ("css", "html.jinja")}
    others = {"engine/py.typed", *report}
    assert {name for name in names if name.startswith("engine/")} == sources | others


@pytest.mark.proof
def test_the_wheel_names_its_version_licence_and_commands(wheel):
    metadata = HeaderParser().parsestr(read(wheel, "METADATA"))
    assert metadata["Name"] == "mlp-engine"
    assert metadata["Version"] == package.__version__
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert read(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    commands = read(wheel, "entry_points.txt")
    assert "\nengine = engine.cli.main:main" in commands
    assert "\nmlp-engine = engine.cli.main:main" in commands


@pytest.mark.proof
def test_the_wheel_works_outside_the_clone(installed, tmp_path):
    env = {"PYTHONPATH": installed}
    code = "import engine; print(engine.__file__, engine.__version__, engine.Network((2, 4, 1)))"
    printed = output("-c", code, cwd=tmp_path, env=env)
    file, version, network = printed.rstrip().split(" ", maxsplit=2)
    assert Path(file) == installed / "engine" / "__init__.py"
    assert version == package.__version__
    assert network == repr(package.Network((2, 4, 1)))


@pytest.mark.proof
def test_the_commands_of_the_wheel_work_outside_the_clone(installed, tmp_path):
    # The same sources have the same cache, wherever they lie.
    printed = output("-m", "engine", "xnor", cwd=tmp_path, env={"PYTHONPATH": installed})
    assert " 1   1          1                  0         1\n" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["engine-xnor.png"]
    told = output("-m", "engine", "info", cwd=tmp_path, env={"PYTHONPATH": installed})
    assert f"({installed / 'engine'})" in told


@pytest.mark.proof
@pytest.mark.skipif(os.name == "nt", reason="pip makes .exe files there")
@pytest.mark.parametrize("name", ["engine", "mlp-engine"])
def test_the_scripts_of_the_wheel_run(installed, tmp_path, name):
    done = subprocess.run(
        [installed / "bin" / name, "--version"],
        cwd=tmp_path,
        env=environment({"PYTHONPATH": installed}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"mlp-engine {package.__version__}\n"
