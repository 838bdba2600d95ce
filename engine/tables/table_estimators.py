"""TableClassifier and TableRegressor: models of tables as they come.

From a frame to predictions: what each column is (table_description.py), one matrix of numbers
(table_encoding.py), inputs of networks (network_inputs.py), several networks trained side by side
(engine/many), and their average.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    check_is_fitted,
)

from engine.boundary.settings import thread_count
from engine.estimators.classifier import MLPClassifier
from engine.estimators.held_out import d2, r2
from engine.estimators.labels import Labels
from engine.estimators.pickled_version import PickledVersion
from engine.estimators.regressor import MLPRegressor
from engine.losses import Loss, named
from engine.many.averages import aligned
from engine.many.fits import Fit, fit_all
from engine.many.member_messages import raise_first_error, say, warnings_of
from engine.many.member_rows import MemberRows
from engine.sums.thread_count import most_threads
from engine.tables import target as of_target
from engine.tables.calibration import calibrated, temperature_of
from engine.tables.column_kinds import CATEGORY, NUMBER
from engine.tables.columns import KINDS_TO_GIVE, OUT, Column
from engine.tables.csv_and_parquet import MISSING
from engine.tables.given_tables import given_table
from engine.tables.network_inputs import NetworkInputs
from engine.tables.recipe import Recipe, recipe_for
from engine.tables.table_description import described
from engine.tables.table_encoding import TableEncoding
from engine.tables.target import CLASSIFICATION, REGRESSION, Target
from engine.tables.validation_rows import validation_rows

ROWS = "row"  # of arrays, whose columns have no names
