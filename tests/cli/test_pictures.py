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
    pictures.learning_curves([([3, 2, 1], [3, 2, 2]), ([4], ())], "others", MARKUP[1], path)
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


def results_of(candidates, scores, **more):
    """`cv_results_` of candidates with names and values, some of which lack a name."""
    names = dict.fromkeys(name for candidate in candidates for name in candidate)
    columns = {}
    for name in names:
        column = np.ma.masked_all(len(candidates), dtype=object)
        for number, candidate in enumerate(candidates):
            if name in candidate:
                column[number] = candidate[name]
        columns[f"param_{name}"] = column
    return {**columns, "mean_test_score": np.array(scores), "params": candidates, **more}


def cells(figure):
    """What stands where (row, column), and whether it is bold."""
    return {
        (int(text.get_position()[1]), int(text.get_position()[0])): (
            text.get_text(),
            text.get_weight() == "bold",
        )
        for text in figure.axes[0].texts
    }


SIZES, ALPHAS = [(8,), (16, 8)], [0.1, 0.01]
GRID = [{"mlp__hidden": size, "mlp__alpha": alpha} for size in SIZES for alpha in ALPHAS]


def test_a_search_shows_each_pairs_score_where_its_values_are_and_frames_the_best():
    figure = plots.search_figure(results_of(GRID, [0.95, 0.92, 0.94, np.nan]), "a search")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["8", "16-8"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.1"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("hidden", "alpha")
    assert cells(figure) == {
        (0, 0): ("0.920", False),
        (0, 1): ("0.950", True),
        (1, 0): ("failed", False),
        (1, 1): ("0.940", False),
    }
    (frame,) = axes.patches
    assert frame.get_xy() == (0.5, -0.5)


def test_a_pair_shows_the_best_over_further_parameters_and_nothing_where_there_is_none():
    candidates = [{**one, "seed": seed} for one in GRID[:3] for seed in (1, 2)]
    results = results_of(candidates, [0.91, 0.95, np.nan, 0.8, 0.7, 0.6])
    figure = plots.search_figure(results, "", ("alpha", "hidden"))
    assert figure.axes[0].get_ylabel() == "alpha"  # rows first
    texts = {place: text for place, (text, _) in cells(figure).items()}
    assert texts == {(0, 0): "0.800", (0, 1): "", (1, 0): "0.950", (1, 1): "0.700"}


def test_after_halving_a_pair_shows_its_last_round_and_a_candidate_has_a_line():
    candidates = [{**GRID[number], "max_iter": 3} for number in range(4)]
    candidates += [{**GRID[number], "max_iter": 9} for number in (1, 3)]
    more = {"iter": np.array([0] * 4 + [1] * 2), "n_resources": np.array([3] * 4 + [9] * 2)}
    figure = plots.search_figure(results_of(candidates, [0.5, 0.6, 0.7, 0.8, 0.2, 0.1], **more), "")
    assert cells(figure) == {
        (0, 0): ("0.200\nround 2", True),  # the best of the last round, not of all
        (0, 1): ("0.500\nround 1", False),
        (1, 0): ("0.100\nround 2", False),
        (1, 1): ("0.700\nround 1", False),
    }
    lines = [list(map(tuple, line.get_xydata())) for line in figure.axes[1].lines]
    assert lines == [[(3, 0.5)], [(3, 0.6), (9, 0.2)], [(3, 0.7)], [(3, 0.8), (9, 0.1)]]


@pytest.mark.parametrize(
    ("candidates", "parameters", "message"),
    [
        (GRID[:2], (), "two parameters; of hidden, alpha, 1 take more than one value"),
        (GRID, ("alpha", "beta"), "two parameters; of hidden, alpha, 1 are meant"),
    ],
)
def test_a_picture_of_a_search_needs_two_parameters(candidates, parameters, message):
    results = results_of(candidates, [0.5] * len(candidates))
    with pytest.raises(ValueError, match=message):
        plots.search_figure(results, "", parameters)


def test_values_and_title_of_a_search_are_shown_as_they_are(drawn, tmp_path):
    candidates = [{"a": one, "b": other} for one in MARKUP for other in MARKUP[:2]]
    results = results_of(candidates, np.linspace(0, 1, len(candidates)))
    plots.search_scores(results, MARKUP[1], tmp_path / "search.png")
    assert title_of(drawn[-1]) == MARKUP[1]
    labels = [label.get_text() for label in drawn[-1].axes[0].get_yticklabels()]
    assert set(labels) == set(MARKUP)


def test_a_search_in_which_all_failed_has_no_best():
    figure = plots.search_figure(results_of(GRID, [np.nan] * 4), "")
    assert set(cells(figure).values()) == {("failed", False)}
    assert len(figure.axes[0].patches) == 0
