"""Estimators with scikit-learn's interface, and what stands around their fits."""
