"""`classify` from end to end: an object's output is independent of others, bad ones included (promises 2 and 9)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke import LightCurves, Predictions, classify, inference
from goodricke.io import Unreadable
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import BundleConfig, Model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.models.runtime import gpu
from goodricke.preprocess import DenseConfig, FoldedConfig, Frames, MultibandConfig, prepare
from goodricke.preprocess.dense import published
from goodricke.uncertainty.calibration import Calibration, Scaling

SIZES = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3, 65)}
NUMBERS = ("p_A", "p_B", "p_C", "std_A", "entropy", "mutual_information")


def make(preprocessing=None, **sizes) -> Model:
    preprocessing = preprocessing or DenseConfig(fewest=5)
    config = AstrafierConfig(**SIZES, channels=preprocessing.channels, context=preprocessing.context, **sizes)
    torch.manual_seed(0)
    network = Astrafier(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    about = BundleConfig(name="tiny", classes=("A", "B", "C"), network=config.model_dump(), preprocessing=preprocessing)
    return Model(
        about, network, replace(Calibration.identity(3), one_pass=Scaling.from_temperature(1.3, 3)), "0123456789ab"
    )


def star(n: int, name: str | None = None) -> LightCurves:
    rng = np.random.default_rng(n)
    time = np.sort(rng.uniform(0, n / 48, n))
    value = 100 + np.sin(time * 9) + 0.1 * rng.normal(size=n)
    return LightCurves.from_arrays([name or f"star{n}"], [0, n], time, value, np.full(n, 0.1), unit="electron / s")


STARS = LightCurves.concat([star(n) for n in (60, 11, 200, 12, 90, 37)])
MODEL = make()
MODELS = {
    "dense": MODEL,
    "folded": make(FoldedConfig()),
    "fast": make(encoding="fast"),
    "published": make(published().model_copy(update={"frames": 100}), compat="published"),
}
each_model = pytest.mark.parametrize("kind", MODELS)


def numbers(result: Predictions) -> np.ndarray:
    """Return probabilities, spread, entropies and embedding as one array (n, ...)."""
    embedding = [x if x is not None else [np.nan] * 8 for x in result.table["embedding"].to_pylist()]
    columns = [result.column(k) for k in NUMBERS if k in result.table.column_names]
    return np.concatenate([np.stack(columns, 1), np.reshape(embedding, (-1, 8))], 1)


def close(a: Predictions, b: Predictions) -> None:
    np.testing.assert_allclose(numbers(a), numbers(b), atol=2e-6)
    assert a.column("class").tolist() == b.column("class").tolist()


@each_model
@pytest.mark.parametrize("passes", [0, 3])
def test_alone_in_company_reversed_and_in_small_pieces_the_answer_is_the_same(kind, passes, monkeypatch):
    model = MODELS[kind]
    together = classify(STARS, model, passes)
    assert together.ok.all()
    close(Predictions.concat([classify(one, model, passes) for one in STARS]), together)
    backwards = classify(STARS[::-1], model, passes)
    close(Predictions(backwards.table.take(np.arange(6)[::-1]), backwards.classes), together)
    for points in (1, 150, 10**9):
        monkeypatch.setattr(inference, "POINTS", points)
        close(classify(STARS, model, passes), together)


def test_one_pass_without_dropout_is_the_network_s_own_answer():
    result = classify(STARS, MODEL, 0)
    prepared = prepare(STARS, MODEL.preprocessing)
    for k in range(len(STARS)):
        logits, embedding, *_ = MODEL.run(prepared, np.array([k]))
        expected = np.exp(logits[0] / 1.3)
        np.testing.assert_allclose(result.probabilities[k], expected / expected.sum(), atol=1e-5)
        np.testing.assert_allclose(result.table["embedding"][k].as_py(), embedding[0], atol=1e-5)
    assert "std_A" not in result.table.column_names
    assert "mutual_information" not in result.table.column_names


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(6)), st.integers(1, 6), st.sampled_from([1, 300, 32768]))
def test_any_company_in_any_order_changes_nothing(order, count, points):
    expected = numbers(classify(STARS, MODEL, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "POINTS", points)
        result = classify(STARS[list(order[:count])], MODEL, 2)
    np.testing.assert_allclose(numbers(result), expected[list(order[:count])], atol=2e-6)


@each_model
@pytest.mark.parametrize("passes", [0, 3])
def test_rounded_lengths_and_batches_made_in_a_thread_change_nothing(kind, passes, monkeypatch):
    """What a GPU has, which does both."""
    expected = classify(STARS, MODELS[kind], passes)
    created = []
    monkeypatch.setattr(inference, "prefetch", lambda *a: gpu.prefetch_in_thread(*a[:2]))
    monkeypatch.setattr(inference.gpu, "frame_multiple", lambda device: created.append(device) or 64)
    for points in (1, 500, 10**9):
        monkeypatch.setattr(inference, "POINTS", points)
        result = classify(STARS, MODELS[kind], passes)
        np.testing.assert_allclose(numbers(result), numbers(expected), atol=1e-5)
    assert created


def test_the_seed_determines_the_output():
    a, b, again = (classify(STARS, MODEL, 5, seed) for seed in (0, 1, 0))
    np.testing.assert_array_equal(numbers(a), numbers(again))
    change = np.abs(a.probabilities - b.probabilities).max(1)
    assert (change > 1e-5).all()
    assert a.spread.min() > 0


def test_more_passes_keep_the_first_ones_masks(monkeypatch):
    prepared, rows = prepare(STARS, MODEL.preprocessing), np.arange(6)
    small = inference.monte_carlo(MODEL, prepared, rows, 2, 0)
    many = inference.monte_carlo(MODEL, prepared, rows, 5, 0)
    np.testing.assert_allclose(many[:2], small, atol=1e-5)
    monkeypatch.setattr(inference, "POINTS", 3 * 200 * 6)  # five passes in pieces of three and two
    np.testing.assert_allclose(inference.monte_carlo(MODEL, prepared, rows, 5, 0), many, atol=1e-5)
    assert many.std(0).min() > 1e-4


BAD = {
    "EMPTY": ([], []),
    "NON_FINITE": (np.arange(20.0), np.full(20, np.nan)),
    "TOO_FEW_POINTS": ([1.0, 2.0], [1.0, 2.0]),
    "CONSTANT": (np.arange(20.0), np.full(20, 7.0)),
}


@each_model
def test_bad_objects_get_a_status_and_nulls_and_disturb_nobody(kind):
    model = make(DenseConfig(fewest=5)) if kind == "published" else MODELS[kind]
    bad = [LightCurves.from_arrays([s], [0, len(t)], t, v, unit="electron / s") for s, (t, v) in BAD.items()]
    mixed = LightCurves.concat([bad[0], STARS[:2], bad[1], bad[2], STARS[2:], bad[3]])
    result = classify(mixed, model, 2)
    status = result.column("status")
    assert [s for i, s in zip(mixed.ids, status, strict=True) if i in BAD] == list(BAD)
    assert result.ok.tolist() == [i not in BAD for i in mixed.ids]
    for name in (*NUMBERS, "class", "p_max", "embedding"):
        assert result.table[name].is_null().to_pylist() == [i in BAD for i in mixed.ids], name
    np.testing.assert_allclose(numbers(result)[result.ok], numbers(classify(STARS, model, 2)), atol=2e-6)
    assert result.column("object_id").tolist() == mixed.ids
    finite = [int((np.isfinite(t) & np.isfinite(v)).sum()) for t, v in (map(np.asarray, BAD[i]) for i in BAD)]
    assert result.column("n_obs")[~result.ok].tolist() == finite


def test_only_bad_objects_and_no_object_are_answered_too(tmp_path):
    t, v = BAD["CONSTANT"]
    for curves in (LightCurves.from_arrays(["x"], [0, 20], t, v, unit="electron / s"), STARS[:0]):
        result = classify(curves, MODEL, 2)
        assert len(result) == len(curves)
        assert not result.ok.any()
        joined = Predictions.concat([result, classify(STARS, MODEL, 2)])
        assert joined.ok.sum() == 6
        result.write(tmp_path / "p.parquet")


@pytest.mark.filterwarnings("ignore:invalid value")
def test_numbers_too_large_to_compute_with_are_a_status_and_no_answer():
    good = star(60)
    time = good.time.copy()
    time[-1] = 1e300
    broken = LightCurves.from_arrays(["far"], [0, 60], time, good.value, unit="electron / s")
    result = classify(LightCurves.concat([broken, STARS]), MODEL, 2)
    assert result.column("status").tolist() == ["NON_FINITE"] + ["OK"] * 6
    assert result.table["p_A"][0].as_py() is None
    np.testing.assert_allclose(numbers(result)[1:], numbers(classify(STARS, MODEL, 2)), atol=2e-6)


def test_per_object_columns_ride_along():
    curves = STARS.with_columns(label=list("abcdef"), ra=np.arange(6.0))
    result = classify(curves, MODEL, 0)
    assert result.column("label").tolist() == list("abcdef")
    assert result.column("ra").tolist() == list(range(6))
    assert result.column("model").tolist() == ["tiny"] * 6
    assert result.column("model_hash").tolist() == ["0123456789ab"] * 6
    assert result.column("n_obs").tolist() == STARS.n_obs.tolist()


def test_columns_do_not_change_the_answer():
    curves = STARS.with_columns(label=list("abcdef"), period=np.arange(6.0))
    np.testing.assert_array_equal(numbers(classify(curves, MODEL, 2)), numbers(classify(STARS, MODEL, 2)))


def test_the_progress_adds_up_to_the_objects(monkeypatch):
    monkeypatch.setattr(inference, "POINTS", 400)
    ticks = []
    t, v = BAD["CONSTANT"]
    bad = LightCurves.from_arrays(["x"], [0, 20], t, v, unit="electron / s")
    classify(LightCurves.concat([STARS, bad]), MODEL, 2, tick=ticks.append)
    assert sum(ticks) == 7
    assert len(ticks) > 3


def test_a_model_may_be_given_by_its_folder(tmp_path):
    saved = MODEL.save(tmp_path / "m", "card", half=False)
    expected = numbers(classify(STARS, saved, 2))
    for folder in (tmp_path / "m", str(tmp_path / "m")):
        np.testing.assert_allclose(numbers(classify(STARS, folder, 2)), expected, atol=1e-6)


def test_a_batch_padded_to_frames_is_bounded_by_its_padded_points(monkeypatch):
    sizes = []
    batch = Frames.batch

    def record(self, rows, multiple):
        created = batch(self, rows, multiple)
        sizes.append(created.mask.numel())
        return created

    monkeypatch.setattr(Frames, "batch", record)
    monkeypatch.setattr(inference, "POINTS", 400)
    classify(LightCurves.concat([star(10, f"s{k}") for k in range(20)]), MODELS["published"], 2)
    assert max(sizes) <= 200


def test_two_light_curves_of_one_id_are_both_answered():
    result = classify(LightCurves.concat([star(60, "same"), star(90, "same")]), MODEL, 2)
    np.testing.assert_allclose(numbers(result)[0], numbers(classify(star(60, "same"), MODEL, 2))[0], atol=2e-6)
    assert result.ok.all()


def multiband_model() -> Model:
    torch.manual_seed(0)
    preprocessing = MultibandConfig(bands=("g", "r"), brightness="magnitude", fewest=2)
    network = Multiband(MultibandNetworkConfig(bands=2, classes=3, hidden=8, head=(8,)))
    config = BundleConfig(
        name="bands",
        family="multiband",
        classes=("A", "B", "C"),
        network=network.config.model_dump(),
        preprocessing=preprocessing,
    )
    return Model(config, network.eval(), replace(Calibration.identity(3), one_pass=Scaling.from_temperature(1.7, 3)))


def two_bands(n: int, cut: int | None = None) -> LightCurves:
    rng = np.random.default_rng(n)
    time, value, band = np.sort(rng.uniform(0, 50, n)), rng.normal(15, 1, n), rng.integers(0, 2, n)
    time, value, band = time[:cut], value[:cut], band[:cut]
    options = {"unit": "mag", "bands": ("g", "r")}
    return LightCurves.from_arrays([f"star{n}"], [0, len(time)], time, value, np.full(len(time), 0.1), band, **options)


@pytest.mark.parametrize("points", [1, 50, 32768])
def test_the_last_step_is_the_answer_and_each_step_that_of_the_light_curve_so_far(points, monkeypatch):
    monkeypatch.setattr(inference, "POINTS", points)
    model, small = multiband_model(), two_bands(4)  # one step at most
    curves = LightCurves.concat([two_bands(30), small, two_bands(12), two_bands(60)])
    steps = prepare(curves, model.preprocessing)
    result = inference.step_probabilities(model, steps)
    predictions = classify(curves, model)
    assert predictions.ok.tolist() == [True, False, True, True]
    last = result[steps.offsets[1:] - 1]
    np.testing.assert_allclose(last[predictions.ok], predictions.probabilities[predictions.ok], atol=1e-6)
    assert np.isnan(result[steps.offsets[1] : steps.offsets[2]]).all()
    for cut in (10, 20, 29):
        so_far = classify(two_bands(30, cut), model)
        step = np.searchsorted(steps.time[: steps.offsets[1]], curves.time[cut - 1], side="right") - 1
        np.testing.assert_allclose(result[step], so_far.probabilities[0], atol=1e-6)


def test_only_multi_band_models_answer_at_every_step():
    with pytest.raises(TypeError, match="only multi-band models"):
        inference.step_probabilities(MODEL, prepare(STARS, MODEL.preprocessing))


# ---- light curves of another kind -----------------------------------------------------------------------------------


def test_light_curves_in_a_unit_that_the_model_cannot_take_have_a_row_that_says_so(caplog):
    model, curves = multiband_model(), replace(two_bands(30), unit="electron / s").with_columns(ra=[1.5])
    refused = classify(curves, model)
    assert refused.column("status").tolist() == ["WRONG_UNIT"]
    assert refused.table["p_A"].to_pylist() == refused.table["class"].to_pylist() == [None]
    assert refused.column("ra").tolist() == [1.5]
    assert "electron / s" in caplog.text
    joined = Predictions.concat([classify(two_bands(30), model), refused])
    assert joined.ok.tolist() == [True, False]


def test_batches_are_classified_as_their_light_curves_together():
    batches = [
        (STARS[:2], []),
        (None, [Unreadable("folder/bad.fits", "is damaged", "download it again")]),
        (STARS[2:], []),
    ]
    predictions, failures = inference.classify_batches(batches, MODEL, passes=2)
    assert predictions.column("status").tolist() == ["OK"] * 6 + ["UNREADABLE"]
    assert predictions.column("source").tolist()[-1] == "folder/bad.fits"
    assert [failure.path for failure in failures] == ["folder/bad.fits"]
    together = classify(STARS, MODEL, passes=2)
    for name in ("p_A", "std_B", "entropy"):
        np.testing.assert_allclose(predictions.column(name)[:6], together.column(name), atol=2e-6)


def test_each_warning_comes_once():
    messages = []
    checks = inference.InputChecks(multiband_model().config, lambda *message: messages.append(message[0] % message[1:]))
    for _ in range(2):
        checks.check(replace(two_bands(30), bands=("g", "i")))
    assert messages == ["observations in i are left out: bands has g, r. If one of these is meant: --band i=g"]


# ---- from whatever holds light curves -------------------------------------------------------------------------------


def test_any_source_gives_the_predictions_of_its_light_curves(tmp_path):
    expected = classify(STARS, MODEL, 0)
    STARS.write_parquet(tmp_path / "stars.parquet")
    path = str(tmp_path / "stars.parquet")
    sources = [STARS.to_pandas(), STARS.to_arrow(), STARS.to_astropy(), list(STARS), path, tmp_path, [path]]
    for source in sources:
        result = classify(source, MODEL, 0)
        close(result, expected)
        assert [result.light_curve(i).ids for i in range(6)] == [[name] for name in STARS.ids]
    one = STARS[2]
    close(
        classify(time=one.time, flux=one.value, error=one.error, object_id="star200", model=MODEL, passes=0),
        expected[2],
    )


def test_files_that_cannot_be_read_have_rows(tmp_path, caplog):
    STARS.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    result = classify([tmp_path / "b.csv", tmp_path / "a.parquet"], MODEL, 0)
    assert result["status"].tolist() == ["OK"] * 6 + ["UNREADABLE"]
    assert caplog.text.count("b.csv") == 1
    with pytest.raises(Unreadable, match=r"b\.csv"):
        classify(tmp_path / "b.csv", MODEL, 0)
    with pytest.raises(Unreadable, match="does not exist"):
        classify(tmp_path / "c.csv", MODEL, 0)
    with pytest.raises(TypeError, match="did you mean unit"):
        classify(tmp_path / "a.parquet", MODEL, 0, units="mag")
    with pytest.raises(TypeError, match="nothing was given"):
        classify(model=MODEL)


def test_a_coverage_is_a_number_or_a_pair():
    for coverage in (0.95, (0.95, False)):
        schema = classify(STARS[:1], "variables", 0, coverage=coverage).table.schema
        assert b"95 % of all objects" in schema.field("prediction_set").metadata[b"description"]
    with pytest.raises(ValueError, match="between 0 and 1"):
        classify(STARS, MODEL, 0, coverage=95)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (np.arange(0, 27, 1 / 48), "tess-sim"),
        (np.arange(0, 27, 1 / 720), "tess-sim"),  # two minutes
        (np.concatenate([np.arange(0, 27, 1 / 48), np.arange(700, 727, 1 / 144)]), "tess-sim"),  # two sectors
        (np.arange(0, 1000, 3.1), "variables"),
        (np.concatenate([night + np.arange(0, 0.3, 0.005) for night in range(30)]), "variables"),  # from the ground
        (np.arange(5.0), "variables"),
        (np.zeros(0), "variables"),
    ],
)
def test_the_sampling_chooses_the_model(time, expected, caplog):
    curves = LightCurves.from_arrays(["a"], [0, len(time)], time, np.ones(len(time)))
    name, reason = inference.default_model(curves)
    assert name == expected
    assert 'model="' in reason
    assert "--model " in inference.as_options(reason)


def test_the_chosen_model_is_named_once(caplog):
    time = np.arange(0, 200, 1.7) + 58000
    result = classify(time=time, mag=15 + np.sin(time), band="g", passes=0)
    assert result["model"].tolist() == ["variables"]
    messages = [record.getMessage() for record in caplog.records if record.getMessage().startswith("model ")]
    assert len(messages) == 1
    assert "sparse" in messages[0]


def test_simulations_are_said_where_a_model_is_named(caplog):
    time = np.arange(0, 60, 2.1) + 60000
    few = {"time": time, "flux": 100 + np.sin(time), "error": 1.0, "unit": "nJy", "band": "g", "passes": 0}
    classify(**few, model="plasticc")
    assert caplog.text.count("plasticc was trained on simulations: its probabilities hold for these") == 1
    caplog.clear()
    classify(**few, model="variables")
    assert "simulations" not in caplog.text


def test_a_mixture_is_of_the_kind_of_most():
    dense = LightCurves.from_arrays(["d"], [0, 1296], np.arange(1296) / 48, np.ones(1296))
    sparse = LightCurves.from_arrays(["s"], [0, 100], np.arange(100) * 3.0, np.ones(100))
    assert inference.default_model(LightCurves.concat([dense, dense, sparse]))[0] == "tess-sim"
    name, reason = inference.default_model(LightCurves.concat([dense, sparse, sparse]))
    assert (name, "1 of 3" in reason) == ("variables", True)
