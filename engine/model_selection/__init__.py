"""scikit-learn's searches and cross-validation, with the fits of our estimators side by side."""
