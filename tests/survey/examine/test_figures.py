import sys
from types import SimpleNamespace

import numpy as np
import pytest

from goodricke.survey.examine import figures, numbers
from goodricke.survey.variability import SearchLimits
from tests.checking import ink

from .catalogs import catalog, degenerate, sample, with_stars

DRAWING = {
    "counts": lambda s, path: figures.plot_counts(numbers.counts(s), s.cuts, path),
    "distributions": figures.plot_distributions,
    "systematics": lambda s, path: figures.plot_systematics(s, numbers.excesses(s), numbers.by_group(s), path),
    "sky": figures.plot_sky,
    "hertzsprung": figures.plot_hertzsprung,
}


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    monkeypatch.setattr("goodricke.evaluation.figures.style.DPI", 40)


@pytest.mark.parametrize("kind", sorted(set(degenerate()) - {"usual", "one cut", "a pair"}))
def test_catalogs_with_little_to_draw_have_figures_that_say_so(tmp_path, kind):
    for draw in DRAWING.values():
        draw(degenerate()[kind], tmp_path / "figure.png")
        width, height, filled = ink(tmp_path / "figure.png")
        assert width > 200
        assert height > 50
        assert filled > 0.002


@pytest.mark.parametrize("stars", [0, 1, 40])
def test_stacked_spectra(tmp_path, stars):
    rng, limits = np.random.default_rng(0), SearchLimits(bins=200)
    f1 = rng.lognormal(0.5, 0.3, stars)
    centre = np.sqrt(limits.edges[1:] * limits.edges[:-1])
    spectra = np.exp(-0.5 * (np.log(centre / f1[:, None]) / 0.02) ** 2) + rng.uniform(0, 0.1, (stars, 200))
    spectra[: stars // 10] = np.nan
    figures.plot_stacked("RRAB", spectra, f1, limits.edges, tmp_path / "s.png")
    assert ink(tmp_path / "s.png")[2] > (0.5 if stars else 0.002)


def test_stacked_spectra_of_noughts(tmp_path):
    figures.plot_stacked("x", np.zeros((3, 200)), np.ones(3), SearchLimits(bins=200).edges, tmp_path / "s.png")


def test_patch_of_sky_across_zero_hours(tmp_path):
    table = catalog(60, ra=np.linspace(355, 365, 60) % 360, dec=np.linspace(60, 65, 60))
    found = sample(table)
    turned = figures._unwrap(found.numbers("ra"), found.best)
    assert np.ptp(turned[found.best]) < 11
    figures.plot_sky(found, tmp_path / "sky.png")


def test_place_in_the_diagram():
    found = sample(with_stars(catalog(50)))
    place = figures.place_in_diagram(found)
    g, parallax, extinction = (found.numbers(q) for q in ("g", "parallax", "extinction"))
    sure = parallax > 5 * 0.05
    np.testing.assert_allclose(place.magnitude[sure], (g + 5 * np.log10(parallax / 1000) + 5 - extinction)[sure])
    assert np.isnan(place.magnitude[~sure]).all()
    assert place.hot_left
    assert figures.place_in_diagram(sample(catalog(5))) is None


def test_temperature_where_there_is_no_colour():
    place = figures.place_in_diagram(sample(with_stars(catalog(50)).drop_columns(["gaia_bp_rp"])))
    assert "eff" in place.axis
    assert not place.hot_left


def test_embeddings_by_components_without_umap(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    found = sample(catalog(100))
    rows = figures.rows_to_map(found)
    embedding = np.array(found.table["embedding"].take(rows).to_pylist(), np.float32)
    how = figures.plot_embedding(found, rows, embedding, tmp_path / "e.png")
    assert "goodricke[umap]" in how
    assert ink(tmp_path / "e.png")[2] > 0.01


def test_embeddings_by_umap(monkeypatch):
    class Umap:  # the real one compiles for a quarter of a minute
        def __init__(self, random_state, n_jobs):
            assert n_jobs == 1
            self.scale = random_state

        def fit_transform(self, embedding):
            return self.scale * embedding[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    embedding = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    flat, method = figures.flatten_embeddings(embedding, seed=2)
    assert method == "UMAP"
    np.testing.assert_array_equal(flat, 2 * embedding[:, :2])
    assert flat.dtype == np.float64


@pytest.mark.parametrize("kind", degenerate())
def test_embeddings_of_each_catalog(tmp_path, kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    found = degenerate()[kind]
    rows = figures.rows_to_map(found)
    embedding = np.ones((len(rows), 4), np.float32)
    figures.plot_embedding(found, rows, embedding, tmp_path / "e.png")
    assert ink(tmp_path / "e.png")[2] > 0.002


def test_few():
    rows = np.arange(100)
    assert figures.draw_at_most(rows, 200) is rows
    chosen = figures.draw_at_most(rows, 10)
    assert len(set(chosen)) == 10
    np.testing.assert_array_equal(chosen, figures.draw_at_most(rows, 10))
