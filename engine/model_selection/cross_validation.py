from typing import Any
import numpy as np
from sklearn import model_selection
from sklearn.utils._param_validation import validate_params
from engine.model_selection.parallel_fits import ParallelFits, bound

@validate_params(model_selection.cross_validate._skl_parameter_constraints, prefer_skip_nested_validation=False)
def cross_validate(estimator, X, y=None, *, groups=None, scoring=None, cv=None, n_jobs=None, verbose=0, params=None, pre_dispatch="2*n_jobs", return_train_score=False, return_estimator=False, return_indices=False, error_score=np.nan):
    return bound(model_selection.cross_validate, Parallel=ParallelFits)(**locals())

@validate_params(model_selection.cross_val_score._skl_parameter_constraints, prefer_skip_nested_validation=False)
def cross_val_score(estimator, X, y=None, *, groups=None, scoring=None, cv=None, n_jobs=None, verbose=0, params=None, pre_dispatch="2*n_jobs", error_score=np.nan):
    return bound(model_selection.cross_val_score, cross_validate=cross_validate)(**locals())
