"""The report page: what it says, that it needs nothing else, and what it does with bad figures."""

import base64
import copy
import itertools
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from engine.comparison.report import figures_file, page
from engine.comparison.report.drawing import NEEDED
from engine.comparison.report.formatting import digits
from engine.comparison.report.results import losses, standings
from engine.comparison.timing import Spread, geometric_mean
from tests.report_figures import (
    BASE,
    FAILED,
    LABELS,
    MISSING,
    TOO_LONG,
    VOID,
    figures,
    two_rows,
    without,
)

pytestmark = pytest.mark.compiled

VOID_ELEMENTS = {"meta", "link", "br", "img", "hr", "input"}
HOSTILE = "</script><script>alert(1)</script><b title=\"x\" onload='y'>&amp; $x$"
TIMES = "\N{MULTIPLICATION SIGN}"
SECTIONS = {
    "training": ("standing", "problems"),
    "sizes": ("sizes",),
    "start_up": ("start-up",),
    "curves": ("curves",),
    "goals": ("goals",),
    "memory": ("memory",),
    "threads": ("threads",),
}


class Page(HTMLParser):
    """A page taken apart; raises AssertionError where it is not well formed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.headings: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        where = self.open[-1] if self.open else ""
        (self.scripts if where == "script" else self.texts).append(data)
        if where in ("h1", "h2", "h3"):
            self.headings.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def found():
    return figures()


@pytest.fixture(scope="module")
def text(found):
    return page.render(found)


@pytest.fixture(scope="module")
def read(text):
    return Page(text)


# Pictures.


@pytest.mark.proof
def test_each_picture_has_a_name_and_is_drawn_for_both_widths(text, read):
    found = re.findall(r'<svg class="(wide|narrow)" viewBox="0 0 (\d+) ', text)
    assert found == [("wide", "960"), ("narrow", "360")] * 9
    labels = [value for tag, name, value in read.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == 18
    assert all(len(label) > 40 for label in labels)
    assert text.count("<title>") == 1 + 18


@pytest.mark.proof
def test_pictures_bring_no_font_and_no_colour_of_their_own(text):
    for svg in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        assert "font-family" not in svg
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?![\w-])", re.sub(r'href="[^"]*"', "", svg))


def test_axes_name_their_units(text):
    for unit in ("time a sample [µs]", "total time [s]", "wall time [s]", "resident memory [MB]"):
        assert text.count(f">{unit}</text>") >= 2, unit


# The page.


def test_the_page_is_well_formed_and_its_ids_are_unique(read):
    assert read.tags[0] == "html"
    assert len(read.ids) == len(set(read.ids))


def test_every_local_link_leads_somewhere(read):
    links = [value for _, name, value in read.attributes if name in ("href", "xlink:href")]
    local = [value[1:] for value in links if value.startswith("#")]
    assert local
    assert set(local) <= set(read.ids)


def test_the_page_loads_nothing(text, read):
    for tag, name, value in read.attributes:
        if name in ("src", "srcset", "poster", "action", "data"):
            raise AssertionError((tag, name, value))
        if name in ("href", "xlink:href"):
            assert value.startswith(("#", "data:")), (tag, value)
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    types = [value for tag, name, value in read.attributes if (tag, name) == ("script", "type")]
    assert types == ["application/json"]
    assert read.tags.count("script") == 1


def test_the_top_says_what_it_was_measured_on_and_by_which_command(found, read):
    about = found["about"]
    for said in (found["command"], about["processor"], about["system"], found["commit"]):
        assert said in read.words
    for name, number in about["versions"].items():
        assert f"{name} {number}" in read.words
    assert "1, kept to core 0" in read.words
    assert "2026-03-14 09:26 UTC, 9 rounds" in read.words


def test_every_time_and_ratio_is_in_the_table(found, read):
    rows = read.words
    n_shown = 0
    for row in found["training"]:
        for name, entry in row["entries"].items():
            if "us_per_sample" in entry:
                middle, low, high = map(digits, entry["us_per_sample"])
                assert f"{middle} µs {low}\N{EN DASH}{high}" in rows, (row["problem"], name)
            if "ratio" in entry and name != BASE:
                middle, low, high = map(digits, entry["ratio"])
                assert f"{TIMES} {middle} {low}\N{EN DASH}{high}" in rows, (row["problem"], name)
                n_shown += 1
    assert n_shown == sum(len(one.results) for one in standings(found)) > 120


def test_marked_rows_stand_there_with_their_reasons(read):
    for kind, reason in (
        ("scikit-learn, void", VOID),
        ("PyTorch, compiled, failed", FAILED),
        ("PyTorch, compiled, too long", TOO_LONG),
        ("MLX, missing", MISSING),
        ("engine, tiled, failed", "MemoryError"),
    ):
        assert f"{kind} : {reason}" in read.words
    assert "no ratio MLX is not installed" in read.words


def test_losses_are_listed_and_as_visible_as_wins(found, text, read):
    lost = losses(standings(found))
    assert len(lost) > 3
    for result in lost:
        said = f"{result.problem} {result.dtype}: {LABELS[result.name]} takes {TIMES}"
        assert f"{said} {digits(result.ratio.median)} of its time" in read.words
    assert text.count(f"▼ {TIMES}") >= len(lost)
    assert text.count('class="ratio behind"') > 2 * len(lost)


def test_without_a_loss_the_page_says_so():
    whole = without("sizes", "start_up", "curves", "goals", "memory", "threads")
    whole["training"] = two_rows(2.0, 3.0)["training"]
    words = Page(page.render(whole)).words
    assert "engine, tiled is behind nobody in any comparison that counts" in words


def test_the_means_of_the_table_are_those_of_the_ratios(found, read):
    ratios = [row["entries"]["jax"].get("ratio") for row in found["training"]]
    mean = geometric_mean([ratio[0] for ratio in ratios if ratio])
    assert f"JAX ▲ {TIMES} {digits(mean)}" in read.words


@pytest.mark.proof
def test_the_page_carries_its_figures_and_can_be_made_again_from_them(found, text, read):
    (script,) = read.scripts
    (link,) = re.findall(r'href="data:application/json;base64,([^"]*)"', text)
    assert json.loads(base64.b64decode(link)) == json.loads(script, parse_constant=pytest.fail)
    assert json.loads(script)["rounds"] == found["rounds"]
    again = page.render(figures_file.checked(json.loads(script)))
    assert again == text


@pytest.mark.proof
def test_the_same_figures_give_the_same_page(found, text):
    assert page.render(copy.deepcopy(found)) == text


@pytest.mark.proof
def test_hostile_text_stays_text(read):
    whole: Any = figures(command=HOSTILE, commit=HOSTILE, unequal=[HOSTILE])
    whole["contenders"][BASE] |= {"label": HOSTILE, "idiom": HOSTILE, "python": HOSTILE}
    whole["contenders"]["jax"]["label"] = "JAX \x00\x1b \N{SNOWMAN} \u4f60"
    whole["contenders"]["mlx"]["missing"] = HOSTILE
    whole["training"][4]["entries"]["torch-compiled"]["failed"] = HOSTILE
    whole["start_up"]["jax"] = {"failed": HOSTILE}
    whole["curves"][0] |= {"data": HOSTILE, "problem": HOSTILE}
    whole["goals"][0] |= {"problem": HOSTILE}
    whole["goals"][0]["entries"] = {HOSTILE: {"failed": HOSTILE}, "b": {"void": HOSTILE}}
    for part in ("memory", "threads"):
        whole[part][0] |= {"problem": HOSTILE, "dtype": HOSTILE}
    hostile = Page(page.render(whole))
    assert hostile.tags.count("script") == 1
    assert not [one for one in hostile.attributes if one[1].startswith("on")]
    assert HOSTILE in hostile.headings[0]
    assert hostile.tags.count("b") <= read.tags.count("b") + 1
    assert json.loads(hostile.scripts[0])["command"] == HOSTILE
    assert not set("<>&") & set(hostile.scripts[0])


@pytest.mark.sample(1)
@pytest.mark.parametrize("part", SECTIONS)
def test_an_absent_part_leaves_no_trace(part, read):
    others = [other for other in SECTIONS if other != part]
    only = Page(page.render(without(*others)))
    always = {"unequal", "contenders", "method", "data"}
    known = {*itertools.chain(*SECTIONS.values()), *always}
    assert known & set(only.ids) == {*SECTIONS[part], *always}
    assert set(only.headings) < set(read.headings)
    assert all(value != "" for _, name, value in only.attributes if name == "href")
    links = {value[1:] for _, name, value in only.attributes if name == "href" and value[0] == "#"}
    assert links <= set(only.ids)


def test_a_part_in_which_everybody_failed_has_its_table_and_no_picture():
    whole = without("training", "sizes", "curves", "goals", "memory")
    whole["start_up"] = {name: {"failed": FAILED} for name in LABELS}
    whole["threads"][0]["entries"] = {name: {"failed": FAILED} for name in LABELS}
    read = Page(page.render(whole))
    assert "figure" not in read.tags
    assert read.words.count(FAILED) == 2 * len(LABELS)


def test_a_missing_library_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(ImportError, match=re.escape("pip install jinja2 matplotlib")):
        page.render(figures())
    assert NEEDED.startswith("the report page needs")


def test_times_to_a_goal_are_shown_with_wins_losses_and_what_does_not_count(read):
    words = read.words
    assert "PARITY, 3-10-10-1, 8 rows, 161 parameters: until the mean squared error" in words
    dash = "\N{EN DASH}"
    assert f"scipy lm 30 of 30 7 4.41 ms 4.31{dash}4.52 ▲ {TIMES} 19.8 18.9{dash}20.7" in words
    assert f"scipy dogbox 28 of 30 3 0.158 ms 0.154{dash}0.161 ▼ {TIMES} 0.770" in words
    assert f"engine lm 29 of 30 4 0.221 ms 0.215{dash}0.226 {dash} scipy" in words  # not to itself
    assert f"torch lm failed {FAILED}" in words
    assert "engine lbfgs 3 of 30 900 void it reached the goal too seldom" in words
    assert "engine adam learning rate 0.03" in words
    assert "zeros are appended to the residuals" in words


def test_the_page_says_when_the_fast_epochs_have_paid():
    whole = without("training", "sizes", "curves", "goals", "memory", "threads")
    one, two, four = (Spread(value, value, value) for value in (1.0, 2.4, 4.0))
    whole["start_up"] = {
        BASE: {"empty_cache": four, "warm_cache": one, "epoch": one},
        "jax": {"empty_cache": one, "warm_cache": one, "epoch": two},
        "torch": {"failed": FAILED},
    }
    words = Page(page.render(whole)).words
    assert "JAX from epoch 4 on after 6.14 s from the first epoch on" in words
    assert f"PyTorch failed {FAILED}" in words
