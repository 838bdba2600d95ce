"""Which rows each network of a table holds out."""

import numpy as np
import pytest

from engine.tables import validation_rows as of_tables

N = 100


def validation_rows(*given, **more):
    parts = of_tables.validation_rows(*given, **more)
    assert all(part is not None for part in parts)
    return parts


def parts_are_whole(parts):
    for part in parts:
        rows = np.concatenate([part.trained, part.left_out])
        assert np.array_equal(np.sort(rows), np.arange(N))


def test_each_network_holds_out_other_rows():
    parts = validation_rows(N, 4, 0.25, seed=0)
    parts_are_whole(parts)
    assert np.array_equal(np.sort(np.concatenate([p.left_out for p in parts])), np.arange(N))


def test_more_networks_than_parts_begin_again():
    parts = validation_rows(N, 5, 0.25, seed=0)
    assert np.array_equal(parts[4].left_out, parts[0].left_out)


def test_another_seed_holds_out_other_rows():
    one, other = (validation_rows(N, 1, 0.25, seed=seed)[0].left_out for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_each_class_has_its_share_and_rare_ones_are_always_trained_on():
    classes = np.repeat([0, 1, 2], [70, 27, 3])
    parts = validation_rows(N, 4, 0.25, seed=0, classes=classes)
    parts_are_whole(parts)
    for part in parts:
        counts = np.bincount(classes[part.left_out], minlength=3)
        assert counts[0] in (17, 18)
        assert counts[1] in (6, 7)
        assert counts[2] == 0


def test_rows_of_one_group_stay_together():
    groups = np.arange(N) // 7
    for part in validation_rows(N, 4, 0.25, seed=0, groups=groups):
        assert not set(groups[part.trained]) & set(groups[part.left_out])
    with pytest.raises(ValueError, match="groups has one group"):
        validation_rows(N, 4, 0.25, seed=0, groups=np.zeros(N))


def test_the_latest_rows_validate_all_networks():
    time = np.random.default_rng(0).permutation(N)
    parts = validation_rows(N, 3, 0.2, seed=0, time=time)
    assert len(parts) == 3
    assert time[parts[0].left_out].min() > time[parts[0].trained].max()
    assert len(parts[2].left_out) == 20


@pytest.mark.parametrize(("n", "fraction"), [(N, 0.0), (9, 0.25)])
def test_no_rows_are_held_out_where_that_is_wanted_or_there_are_few(n, fraction):
    assert of_tables.validation_rows(n, 2, fraction, seed=0) == [None, None]


def test_no_network_is_validated_on_classes_that_it_is_not_trained_on():
    rare, latest = np.arange(N) // 2, np.arange(N) // 40
    for more in ({"classes": rare}, {"classes": latest, "time": np.arange(N)}):
        for part in validation_rows(N, 3, 0.25, seed=0, **more):
            classes = more["classes"]
            assert len(part.left_out) > 0
            assert set(classes[part.trained]) == set(classes)


def test_a_network_without_validation_rows_of_known_classes_has_none():
    classes = np.arange(N) // 20
    assert of_tables.validation_rows(N, 2, 0.2, seed=0, classes=classes, groups=classes) == [
        None,
        None,
    ]


@pytest.mark.parametrize("fraction", [0.999, 0.001])
def test_some_rows_are_trained_on_and_some_held_out_by_any_fraction(fraction):
    for time in (None, np.arange(N)):
        for part in validation_rows(N, 2, fraction, seed=0, time=time):
            assert len(part.trained) > 0
            assert len(part.left_out) > 0
