"""What the tests of searches share: data, and comparison with scikit-learn's results."""

import io
import warnings
from contextlib import redirect_stdout
from unittest import mock

import numpy as np
import pytest
from sklearn import model_selection
from sklearn.datasets import make_classification, make_regression
from sklearn.model_selection import _search_successive_halving as successive_halving

from engine import model_selection as ours
from engine.many.fits import fit_all
from engine.model_selection import parallel_fits, resumption
from engine.model_selection.eligibility import network_of

X, Y = make_classification(90, 6, n_informative=4, random_state=0)
X_REGRESSION, Y_REGRESSION = make_regression(90, 6, noise=1, random_state=0)
Y_REGRESSION /= Y_REGRESSION.std()

THEIRS = {
    ours.GridSearchCV: model_selection.GridSearchCV,
    ours.RandomizedSearchCV: model_selection.RandomizedSearchCV,
    ours.HalvingGridSearchCV: successive_halving.HalvingGridSearchCV,
    ours.HalvingRandomSearchCV: successive_halving.HalvingRandomSearchCV,
}

# The networks of these tests are trained for a few epochs on few rows.
quiet = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
)


class Ran:
    """A search that has run: what it found, printed and warned of, and the fits side by side."""

    def __init__(self, search, X, y, **fit_params):
        self.fits: list[list[int]] = []  # max_iter of those that were made side by side
        self.error: Exception | None = None
        printed = io.StringIO()

        def noted(fits, n_threads=None):
            self.fits.append([fit.estimator.max_iter for fit in fits])
            return fit_all(fits, n_threads)

        np.random.seed(7)  # noqa: NPY002  # the generator of random_state=None
        with (
            mock.patch.object(parallel_fits, "fit_all", noted),
            mock.patch.object(resumption, "fit_all", noted),
            warnings.catch_warnings(record=True) as caught,
            redirect_stdout(printed),
        ):
            warnings.simplefilter("always")
            try:
                self.search = search.fit(X, y, **fit_params)
            except Exception as error:
                self.error = error
        self.printed = printed.getvalue()
        self.warnings = [(said.category, str(said.message)) for said in caught]
        self.lines = [(said.filename, said.lineno) for said in caught]

    @property
    def n_fits(self):
        """How many fits were made side by side."""
        return sum(map(len, self.fits))


def both(kind, *arguments, data=(X, Y), fit_params=None, fails=False, **options):
    """A search of ours and scikit-learn's; asserts that their results have the same bits."""
    alone = {"n_jobs": None} if "n_jobs" in options else {}  # starting processes takes seconds
    ran = [
        Ran(kind(*arguments, **options), *data, **(fit_params or {})),
        Ran(THEIRS[kind](*arguments, **{**options, **alone}), *data, **(fit_params or {})),
    ]
    if fails:
        assert type(ran[0].error) is type(ran[1].error)
    for search in ran:
        assert (search.error is not None) is fails, search.error
    if not fails:
        assert_same_results(*(search.search for search in ran))
    return ran


def assert_same_results(mine, theirs):
    """But for the times, all results have the same bits."""
    assert_same_tables(mine.cv_results_, theirs.cv_results_)
    for name in ("best_index_", "best_params_", "best_score_", "n_splits_", "multimetric_"):
        assert repr(getattr(mine, name, None)) == repr(getattr(theirs, name, None))
    if theirs.refit:
        networks = [network_of(search.best_estimator_) for search in (mine, theirs)]
        assert networks[0].fingerprint_ == networks[1].fingerprint_


def assert_same_tables(mine, theirs):
    """Two dictionaries of arrays have the same bits, but for the times."""
    assert list(mine) == list(theirs)
    for name in mine:
        if "_time" not in name:
            masks = [np.ma.getmaskarray(np.ma.asarray(table[name])) for table in (mine, theirs)]
            a, b = (np.ma.getdata(table[name])[~masks[0]] for table in (mine, theirs))
            same = list(map(repr, a)) == list(map(repr, b)) if a.dtype == object else None
            assert a.tobytes() == b.tobytes() if same is None else same, name
            assert np.array_equal(*masks)
