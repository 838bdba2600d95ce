"""scikit-learn's searches and cross-validation, with the fits of our estimators side by side."""

from engine.model_selection.cross_validation import cross_val_score as cross_val_score
from engine.model_selection.cross_validation import cross_validate as cross_validate
from engine.model_selection.searches import GridSearchCV as GridSearchCV
from engine.model_selection.searches import HalvingGridSearchCV as HalvingGridSearchCV
from engine.model_selection.searches import HalvingRandomSearchCV as HalvingRandomSearchCV
from engine.model_selection.searches import RandomizedSearchCV as RandomizedSearchCV

__all__ = [
    "GridSearchCV",
    "HalvingGridSearchCV",
    "HalvingRandomSearchCV",
    "RandomizedSearchCV",
    "cross_val_score",
    "cross_validate",
]
