from functools import partial
from typing import Any
from sklearn import model_selection
from sklearn.base import _fit_context
from sklearn.model_selection import _search_successive_halving as halving
from sklearn.model_selection._search import BaseSearchCV
from engine.model_selection.parallel_fits import ParallelFits, bound

class SideBySide(BaseSearchCV):
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        parallel = partial(ParallelFits, resource=getattr(self, "resource", None))
        return bound(BaseSearchCV.fit, Parallel=parallel)(self, X, y, **params)

class GridSearchCV(model_selection.GridSearchCV, SideBySide): pass
class RandomizedSearchCV(model_selection.RandomizedSearchCV, SideBySide): pass
class HalvingGridSearchCV(halving.HalvingGridSearchCV, SideBySide): pass
class HalvingRandomSearchCV(halving.HalvingRandomSearchCV, SideBySide): pass
