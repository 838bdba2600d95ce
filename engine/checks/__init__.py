"""`engine.verify`: whether the engine computes rightly on a user's own model and data."""
