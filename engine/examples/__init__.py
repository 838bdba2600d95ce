"""Worked examples, importable: `xnor` is the seed's, `breast_cancer` the main job on real data."""
