"""The public names: what they are, when they are loaded, and what stays unloaded."""

import json
import pkgutil
import re
from types import ModuleType

import pytest

import engine
from tests.processes import ROOT, output

NAMES = sorted(engine.__all__)

# In these snippets `every_submodule()` imports all of the package but its __main__.
IMPORT_EVERY_SUBMODULE = """
import engine, pkgutil
from importlib import import_module

def every_submodule():
    found = pkgutil.walk_packages(engine.__path__, "engine.")
    return [import_module(module.name) for module in found if module.name != "engine.__main__"]
"""


def modules_after(code: str) -> set[str]:
    """The top-level modules and those of the package that a new process has after `code`."""
    listed = output("-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")
    return set(json.loads(listed.splitlines()[-1]))


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_stays_the_same_object_when_every_submodule_is_imported(name):
    code = f"""{IMPORT_EVERY_SUBMODULE}
before = engine.{name}
assert len(every_submodule()) > 20
assert engine.{name} is before
print(type(before).__name__)
"""
    assert output("-c", code).strip() not in ("", "module")


@pytest.mark.proof
@pytest.mark.compiled
def test_public_names_are_those_of_their_modules_when_every_submodule_was_imported_first():
    code = f"""{IMPORT_EVERY_SUBMODULE}
from types import ModuleType
modules = every_submodule()
for name in engine.__all__:
    value = getattr(engine, name)
    assert not isinstance(value, ModuleType), name
    if name != "__version__":
        (home,) = [module for module in modules if module.__name__ == value.__module__]
        assert getattr(home, name) is value, name
    exec(f"from engine import {{name}} as again")
    assert again is value, name
print("all")
"""
    assert output("-c", code) == "all\n"


def test_no_module_or_package_bears_a_public_name():
    modules = [found.name for found in pkgutil.walk_packages(engine.__path__, "engine.")]
    assert "engine.cli.main" in modules
    assert {name.rpartition(".")[2] for name in modules} & set(NAMES) == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_no_module(name):
    assert not isinstance(getattr(engine, name), ModuleType)


@pytest.mark.compiled
def test_importing_the_package_imports_nothing_that_takes_time():
    slow = {"llvmlite", "matplotlib", "numba", "numpy", "rich", "scipy", "sklearn", "typer"}
    loaded = modules_after("import engine")
    assert loaded & slow == set()
    assert {name for name in loaded if name.startswith("engine.")} == set()


@pytest.mark.compiled
def test_listing_the_names_imports_nothing_either():
    assert "numba" not in modules_after("import engine; dir(engine)")


@pytest.mark.compiled
def test_training_never_imports_scikit_learn_or_matplotlib():
    loaded = modules_after(
        "import numpy as np, engine\n"
        "X, Y = np.array([[0.0, 0, 1, 1], [0, 1, 0, 1]]), np.array([1, 0, 0, 1])\n"
        "network = engine.Network((2, 4, 1))\n"
        "result = engine.train(network, X, Y, solver='gd', max_iter=3, X_val=X, Y_val=Y)\n"
        "network.forward(result.theta, X)"
    )
    assert "numba" in loaded
    assert loaded & {"matplotlib", "sklearn"} == set()


def test_dir_lists_every_public_name():
    assert set(NAMES) <= set(dir(engine))
    assert dir(engine) == sorted(dir(engine))


def test_the_public_names_are_listed_once_each():
    assert len(set(engine.__all__)) == len(engine.__all__)


def test_the_contract_s_names_that_exist_are_public():
    # DESIGN.md, "Public names", as far as they are built.
    assert {"DivergedError", "Network", "train"} <= set(NAMES)


def test_an_unknown_attribute_raises_the_usual_error():
    with pytest.raises(AttributeError, match="module 'engine' has no attribute 'no_such_name'"):
        _ = engine.no_such_name
    assert not hasattr(engine, "__wrapped__")


def code_in_markdown(text: str) -> str:
    """What stands in code fences and in backticks: a `train` there is no English verb."""
    fence = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*fence.findall(text), *re.findall(r"`[^`\n]+`", fence.sub("", text))])


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("__")])
def test_the_readme_mentions_every_public_name(name):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{name}\b", code_in_markdown(readme))
