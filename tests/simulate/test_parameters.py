"""The tables of parameters: every distribution keeps to its numbers, every row says what it is."""

import numpy as np
import pytest

from goodricke.simulate import parameters
from goodricke.simulate.parameters import DISTRIBUTIONS, Parameter, table, table_names, table_rows


def values(distribution, **numbers):
    return Parameter("x", distribution, numbers, "", "", "").draw(20_000, np.random.default_rng(1))


@pytest.mark.parametrize("kind", table_names())
def test_every_parameter_has_a_meaning_and_literature(kind):
    for parameter in table(kind).parameters.values():
        assert parameter.meaning, parameter.name
        assert parameter.literature, parameter.name
        assert parameter.distribution in DISTRIBUTIONS
        assert parameter.meaning[-1] != "."


@pytest.mark.parametrize("kind", table_names())
def test_draws_lie_within_bounds(kind):
    for name, parameter in table(kind).parameters.items():
        if parameter.distribution != "fixed":
            truth, (low, high) = parameter.draw(2000, np.random.default_rng(2)), parameter.bounds
            assert low <= truth.min() <= truth.max() <= high, name
            assert low >= parameter.numbers.get("low", -np.inf)
            assert high <= parameter.numbers.get("high", np.inf)


def test_distributions_have_their_moments():
    assert values("uniform", low=2, high=4).mean() == pytest.approx(3, abs=0.02)
    assert np.log(values("loguniform", low=1, high=100)).mean() == pytest.approx(np.log(10), abs=0.03)
    normal = values("normal", mean=5, sd=2)
    assert (normal.mean(), normal.std()) == pytest.approx((5, 2), abs=0.05)
    assert np.log10(values("lognormal", median=3, dex=0.2)).std() == pytest.approx(0.2, abs=0.005)
    assert values("beta", a=2, b=2, low=-1, high=1).mean() == pytest.approx(0, abs=0.02)
    assert values("chance", chance=0.3).mean() == pytest.approx(0.3, abs=0.02)
    assert np.cos(np.radians(values("isotropic"))).mean() == pytest.approx(0.5, abs=0.01)
    assert np.median(values("power", slope=-2, low=1, high=1e6)) == pytest.approx(2, abs=0.05)


def test_whole_numbers_reach_both_ends_alike():
    truth = values("integer", low=1, high=4)
    assert np.bincount(truth.astype(int))[1:] / len(truth) == pytest.approx([0.25] * 4, abs=0.02)
    assert set(values("loginteger", low=1, high=3)) == {1.0, 2.0, 3.0}


def test_truncated_normals_keep_their_shape_inside():
    truth = values("normal", mean=0, sd=1, low=-1, high=1)
    assert np.abs(truth).max() <= 1
    assert truth.std() == pytest.approx(0.5396, abs=0.01)  # 1 - 2 phi(1) / (2 Phi(1) - 1), its root


def test_choices_come_with_their_weights():
    truth = values("choice", values=[1.0, -1.0], weights=[3, 1])
    assert (truth == 1).mean() == pytest.approx(0.75, abs=0.02)


def test_every_value_needs_one_random_number():
    one, other = np.random.default_rng(4), np.random.default_rng(4)
    Parameter("x", "normal", {"mean": 0, "sd": 1, "low": 3}, "", "", "").draw(7, one)
    other.random(7)
    assert one.random() == other.random()


def test_rows_of_a_table_have_its_parameters_and_the_derived_ones():
    rows = table_rows("delta_scuti")
    assert len(rows) == len(table("delta_scuti").parameters) + len(table("delta_scuti").derived)
    assert list(rows[0]) == ["parameter", "distribution", "unit", "meaning", "literature"]


def test_an_unknown_table_is_an_error_with_the_names():
    with pytest.raises(ValueError, match=r"no table of parameters 'nova'; there are: .*cepheid"):
        table("nova")


def test_an_unknown_distribution_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "nova.toml").write_text(
        'label = "X"\nabout = ""\n[parameters.a]\ndistribution = "gauss"\nmeaning = "m"\n'
    )
    monkeypatch.setattr(parameters, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"parameters/nova.toml: a can't be drawn: 'gauss'"):
        table("nova")
