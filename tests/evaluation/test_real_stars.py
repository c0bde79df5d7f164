"""A dense model on labelled real stars: short light curves are answered alike in every way, and the card shows it."""

from __future__ import annotations

import numpy as np
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.card import render_card
from goodricke.evaluation.real_stars import COMBINED, FIRST, WHOLE, score_real_stars, with_real_stars
from goodricke.evaluation.sample import Sample
from goodricke.models.bundle import load_model

MODEL = load_model("tess-sim")


def sample(days: float, period: float = 0.7, label: str = "CONTACT_ROT") -> Sample:
    time = 2000 + np.arange(0, days, 1 / 48)
    parts = []
    for k, amplitude in enumerate((50.0, 90.0)):
        flux = 1e4 + amplitude * np.sin(2 * np.pi * time / period) + np.random.default_rng(k).normal(size=len(time))
        parts.append(LightCurves.from_arrays([f"star {k}"], [0, len(time)], time, flux, unit="electron / s"))
    return Sample(
        LightCurves.concat(parts),
        np.array([label, label], object),
        np.array([0, 1]),
        targets={},
        origin="two stars",
        held_out=True,
        period=np.array([period, np.nan]),
    )


def test_light_curves_of_a_sector_are_answered_alike_in_every_way_and_the_card_begins_with_them() -> None:
    results = score_real_stars(MODEL, sample(25.0), passes=0)
    assert list(results) == [FIRST, COMBINED, WHOLE]
    first, combined, whole = results.values()
    assert first.to_dict() == combined.to_dict() == whole.to_dict()
    assert whole.periods["period_multiple"].value == 1
    scored = with_real_stars(MODEL, results, "two stars", note="A rule is right for one.")
    text = render_card(scored)
    assert text.index("## Real stars") < text.index("## One pass without dropout")
    assert f"| CONTACT_ROT | {whole.to_dict()['per_class']['CONTACT_ROT']['counts']} |" in text
    assert "\nA rule is right for one.\n" in text.split("## One pass")[0]
    assert type(scored.config).model_validate_json(scored.config.to_json()) == scored.config


def test_labels_of_none_of_the_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="no label is a class of tess-sim"):
        score_real_stars(MODEL, sample(5.0, label="MIRA"), passes=0)
