"""Circuits as estimators of scikit-learn: they train on arrays, and take part in its pipelines and searches."""

from harness.sklearn.classifier import CircuitClassifier
from harness.sklearn.regressor import CircuitRegressor

__all__ = ["CircuitClassifier", "CircuitRegressor"]
