"""docs/equations.md, the code and the tests name the same equations.

A label (F1, L1, B1, U1, I1 ...) stands in the code at the start of a comment, `# B1` or, with
several, `# B4 B5`. Docstrings and prose may mention labels as they like; they carry none.
"""

import ast
import inspect
import io
import pkgutil
import re
import textwrap
import tokenize
from collections import defaultdict
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import engine

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(engine.__file__).parent

FAMILIES = "FLBUINE"
LABEL = re.compile(rf"\b[{FAMILIES}][1-9][0-9]*\b")


class Section(NamedTuple):
    """What the document says about one equation."""

    label: str
    functions: list[str]
    tests: list[str]


def paragraph(text: str, start: str) -> list[str]:
    """What stands in backticks in the paragraphs of a text that begin with that word."""
    found = re.findall(rf"^{start}: .*(?:\n.+)*", text, re.MULTILINE)
    return re.findall(r"`([^`]+)`", " ".join(found))


def read_document() -> list[Section]:
    """The sections `### LABEL · Title`, each up to the next heading."""
    text = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    sections = []
    for part in re.split(r"^(?=#+ )", text, flags=re.MULTILINE):
        if heading := re.match(r"### ([A-Z][0-9]+)\b", part):
            sections.append(Section(heading[1], paragraph(part, "Code"), paragraph(part, "Test")))
    return sections


def labels_of(comment: str) -> list[str]:
    """The labels with which a comment begins.

    >>> labels_of("# B4 B5")
    ['B4', 'B5']
    >>> labels_of("# as F1 has it, see L6"), labels_of("# noqa: F401")
    ([], [])
    """
    words = comment.lstrip("#").replace(",", " ").split()
    return list(takewhile(LABEL.fullmatch, words))


def labelled_lines(source: str) -> list[tuple[int, str]]:
    """Each label in a comment of a source, with the number of its line."""
    return [
        (token.start[0], label)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
        for label in labels_of(token.string)
    ]


def read_code() -> dict[str, set[str]]:
    """The dotted names of the functions of engine/ that carry each label."""
    carriers = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not re.search(rf"#[#\s]*[{FAMILIES}][1-9]", source):
            continue  # most files; it takes long to look at each token
        module = ".".join(("engine", *path.relative_to(PACKAGE).with_suffix("").parts))
        spans = list(function_spans(ast.parse(source), module))
        for line, label in labelled_lines(source):
            around = [name for name, first, last in spans if first <= line <= last]
            carriers[label].add(around[0] if around else f"{module}, line {line}")
    return dict(carriers)


def function_spans(node: ast.AST, prefix: str) -> Any:
    """Name, first line and last line of each function and method, the outermost ones only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}.{child.name}", child.lineno, child.end_lineno
        elif isinstance(child, ast.ClassDef):
            yield from function_spans(child, f"{prefix}.{child.name}")


def source_of(name: str) -> str:
    """The source of the function of that dotted name, without what its decorators made of it."""
    function = pkgutil.resolve_name(name)
    return textwrap.dedent(inspect.getsource(getattr(function, "py_func", function)))


def form_of(name: str) -> str:
    """The form of its equation: "numpy" or "tiled" by the name, "loops" where it is compiled.

    The loops of own_loss.py are compiled for each function of a user. What is computed for networks
    side by side is in files of its own.
    """
    if name.startswith(("engine.equations.members.", "engine.equations.member_steps.")):
        return "side by side"
    if name.startswith("engine.equations.own_loss."):
        return "loops"
    (definition,) = ast.parse(source_of(name)).body
    assert isinstance(definition, ast.FunctionDef)
    if {ast.unparse(decorator) for decorator in definition.decorator_list} & {
        "jit",
        "compiled_once",
        "inlined",
    }:
        return "tiled" if name.endswith("_tiled") else "loops"
    return "numpy" if name.endswith("_numpy") else "neither"


@cache
def source_of_test(test: str) -> str:
    """The source of the test `path::name`; empty if there is none."""
    path, _, name = test.partition("::")
    if not (ROOT / path).is_file():
        return ""
    source = (ROOT / path).read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return ast.get_source_segment(source, node) or ""
    return ""


SECTIONS = read_document()
CODE = read_code()
IN_DOCUMENT = [section.label for section in SECTIONS]
# Drawn once a training, by the network itself, and done once an epoch: one form serves all.
# N2 to N6 are decisions of the solver "lm", which is compiled and has no other form.
ONE_FORM = ("I1", "I2", "I3", "I4", "U6", "U7", "U11", "N2", "N3", "N4", "N5", "N6")
# Goes over the parameters one after the other, which is a plain loop already: nothing to tile.
TWO_FORMS = ("L6", "L16", "U1", "U2", "U3", "U10")
# Sums over samples or units below, and the steps: their loops are others for networks side by side.
SIDE_BY_SIDE = (
    *("F1", "L6", "B1", "B2", "B3", "B9", "B10"),
    *("U1", "U2", "U3", "U4", "U5", "U8", "U9", "U10"),
)
# Labels that nothing carries yet: N7 is what is known of fitted parameters.
RESERVED = {"N7"}
SEVERAL_FORMS = [section for section in SECTIONS if section.label not in ONE_FORM]

each_section = pytest.mark.parametrize("section", SECTIONS, ids=IN_DOCUMENT)
each_named_function = pytest.mark.parametrize(
    ("label", "function"),
    [(section.label, function) for section in SECTIONS for function in section.functions],
)
each_named_test = pytest.mark.parametrize(
    ("label", "test"), [(section.label, test) for section in SECTIONS for test in section.tests]
)


@each_section
def test_section_names_a_function_and_a_test(section):
    assert section.functions
    assert section.tests


@pytest.mark.parametrize("section", SEVERAL_FORMS, ids=[s.label for s in SEVERAL_FORMS])
def test_equation_stands_in_the_code_in_each_form(section):
    forms = {"numpy", "loops"} if section.label in TWO_FORMS else {"numpy", "loops", "tiled"}
    forms |= {"side by side"} if section.label in SIDE_BY_SIDE else set()
    assert {form_of(function) for function in section.functions} == forms


@each_named_function
def test_named_function_carries_the_label_in_a_comment(label, function):
    assert label in [found for _, found in labelled_lines(source_of(function))]


@each_named_test
def test_named_test_exists_and_says_the_label(label, test):
    source = source_of_test(test)
    assert source, f"there is no {test}"
    assert label in LABEL.findall(source)


@pytest.mark.parametrize("label", sorted(CODE))
def test_label_in_the_code_has_a_section(label):
    assert label in IN_DOCUMENT, f"carried by {sorted(CODE[label])}"


@each_section
def test_section_has_its_label_in_the_code(section):
    assert section.label in CODE


@each_section
def test_named_functions_are_all_that_carry_the_label(section):
    assert sorted(section.functions) == sorted(CODE.get(section.label, ()))


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_are_numbered_in_order_without_gaps(family):
    numbers = [int(label[1:]) for label in IN_DOCUMENT if label.startswith(family)]
    assert numbers
    assert numbers == sorted(set(numbers))
    gaps = {f"{family}{number}" for number in range(1, numbers[-1])} - set(IN_DOCUMENT)
    assert gaps <= RESERVED
