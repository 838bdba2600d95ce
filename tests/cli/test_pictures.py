"""engine/tables/pictures.py and engine/plots.py: names in pictures are what they are, no markup."""

import matplotlib.mathtext
import numpy as np
import pytest
from matplotlib.figure import Figure

from engine import Network, plots
from engine.cli import pictures as of_commands
from engine.cli.console import Console
from engine.cli.pictures import draw_predictions
from engine.tables import pictures
from engine.tables.target import CLASSIFICATION, REGRESSION, Target

MARKUP = ("$5 to $10", "$_^$", r"\$x$", "US$", r"$\frac{", "_under", "a_b^c", "<b>&amp;", "%s {x}")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved; no text of theirs may be parsed as mathematics."""

    def parse(self, text, *more, **named):
        raise AssertionError(f"{text!r} is no mathematics")

    figures = []

    def saved(self, path, **options):
        self.draw_without_rendering()
        figures.append(self)

    monkeypatch.setattr(matplotlib.mathtext.MathTextParser, "parse", parse)
    monkeypatch.setattr(Figure, "savefig", saved)
    return figures


def title_of(figure):
    return figure.get_suptitle() or figure.axes[0].get_title(loc="left")


def tick_labels(figure):
    axes = figure.axes[0]
    return [label.get_text() for label in axes.get_xticklabels()]


def test_labels_and_titles_that_look_like_mathematics_are_shown_as_they_are(drawn, tmp_path):
    path = tmp_path / "p.png"
    y = np.array(MARKUP)
    pictures.confusion_matrix(y, y[::-1].copy(), MARKUP[1], path)
    assert set(tick_labels(drawn[-1])) == set(MARKUP)
    pictures.residuals(np.arange(3.0), np.arange(3.0) ** 2, MARKUP[1], path)
    pictures.learning_curve([3, 2, 1], [3, 2, 2], "held-out rows", MARKUP[1], path)
    assert set(map(title_of, drawn)) == {MARKUP[1]}


def test_so_are_those_of_pictures_from_python(drawn, tmp_path):
    network = Network((2, 1), output="sigmoid")
    panels = [plots.Panel(MARKUP[1], network, np.zeros(3))]
    X, Y = np.array([[0.0, 0, 1, 1], [0, 1, 0, 1]]), np.array([1.0, 0, 0, 1])
    plots.decision_regions(panels, X, Y, tmp_path / "regions.png")
    assert drawn[-1].axes[0].get_title() == MARKUP[1]
    history = {"cost": np.array([2.0, 1.0]), "validation_cost": np.array([])}
    plots.learning_curve(history, MARKUP[1], tmp_path / "curve.png")
    assert drawn[-1].axes[0].get_title(loc="left") == MARKUP[1]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\ud800", r"\ud800"),
        ("", "''"),
        ("  ", "'  '"),
        ("x" * 30, "x" * 17 + "…"),
        ("東京", "東京"),
    ],
    ids=ascii,
)
def test_a_name_is_on_one_line_and_neither_blank_nor_too_long(name, shown):
    assert pictures.shown_name(name) == shown


class Model:
    """What `draw_predictions` asks of a model."""

    def __init__(self, name, task):
        self.target = Target(name, "category", task)


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "name", ["$y_^", "y\x1b[31m\n", "x" * 500, "価格 🙂", "y\ud800"], ids=range(5)
)
def test_a_command_draws_whatever_the_names_are(drawn, tmp_path, capsys, name):
    console = Console(width=200)
    labels = np.array([name, "other", f"_{name}"] * 4)
    path = tmp_path / "matrix.png"
    for task, y in ((CLASSIFICATION, labels), (REGRESSION, np.arange(12.0))):
        draw_predictions(console, Model(name, task), y, y[::-1].copy(), tmp_path, path)
    out, err = capsys.readouterr()
    assert out.count("Picture: ") == 2
    said = {f"engine: {of_commands.LETTERS_MISSING}"} if "🙂" in name else set()
    assert set(err.splitlines()) == said
    for figure in drawn:
        title = title_of(figure)
        assert title.startswith(f"'{pictures.shown_name(name, 30)}', 12 rows")
        assert len(title) < 60


def test_pictures_of_one_row_and_of_one_value_are_drawn(drawn, tmp_path):
    for y in ([1.0], [2.0, 2.0]):
        pictures.residuals(np.array(y), np.array(y), "few", tmp_path / "p.png")
    pictures.confusion_matrix(np.array(["a"]), np.array(["a"]), "one", tmp_path / "p.png")
    assert len(drawn) == 3
