"""MLPClassifier and MLPRegressor: scikit-learn's interface, semantics and numbers."""
