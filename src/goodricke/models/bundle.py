"""A model is a folder: configuration, weights, calibration, golden outputs and a card, without pickle.

::

    config.json              family, sizes, preprocessing, classes, origin
    model.safetensors        weights, float16 or float32
    calibration.json         maps from logits to probabilities (`goodricke.uncertainty.calibration`)
    calibration.safetensors  references of prediction sets and novelty
    golden.npz               inputs and outputs, to check a copy or a platform (``verify``)
    README.md                the model card: data, split, metrics, licence
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from goodricke.data.config_errors import faults
from goodricke.data.files import atomic_folder
from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import PeriodAnswer
from goodricke.data.photometry import Flux, Photometry
from goodricke.data.predictions import ModelId, Output, Predictions
from goodricke.data.taxonomy import Taxonomy
from goodricke.io import as_light_curves
from goodricke.models import recurrent_state
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.hub import SHIPPED, fetch, shipped_models
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.models.multiband_step import stepper
from goodricke.models.output import NetworkOutput
from goodricke.models.recurrent_state import State, Update
from goodricke.models.runtime import gpu, threads
from goodricke.models.variables import Variables, VariablesNetworkConfig, answered_periods
from goodricke.preprocess import MultibandConfig, Prepared, Preprocessing, restore
from goodricke.preprocess.multiband import object_context
from goodricke.preprocess.tensors import Batch, CandidatePeriods, StepBatch
from goodricke.uncertainty.calibration import Calibration, Mode
from goodricke.uncertainty.entropy import entropy
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage, as_coverage

Precision = Literal["auto", "float32", "bfloat16"]
FORMAT = 1


class NetworkFamily(NamedTuple):
    """A family of networks; CONTRIBUTING describes how to add one."""

    config: type[BaseModel]  # of the network, `BundleConfig.network`
    network: Callable[[Any], nn.Module]


FAMILIES = {
    "astrafier": NetworkFamily(AstrafierConfig, Astrafier),
    "multiband": NetworkFamily(MultibandNetworkConfig, Multiband),
    "variables": NetworkFamily(VariablesNetworkConfig, Variables),
}
GOLDEN_TOLERANCE = 2e-4  # of a logit, for the same weights in float32 on another processor


class Target(BaseModel):
    """A physical parameter that a model regresses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    unit: str = ""
    log: bool = Field(False, description="the network predicts the decimal logarithm")
    mean: float = 0.0
    std: float = 1.0

    def physical(self, standardised: np.ndarray) -> np.ndarray:
        """Return values in the parameter's unit from the network's output (n,)."""
        value = standardised.astype(np.float64) * self.std + self.mean
        return 10**value if self.log else value

    def standardised(self, physical: np.ndarray) -> np.ndarray:
        """Return the network's target output for values (n,), NaN where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.log10(np.where(physical > 0, physical, np.nan)) if self.log else physical
        return (value - self.mean) / self.std


class BundleConfig(BaseModel):
    """The contents of ``config.json``."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    name: str
    family: str = "astrafier"
    summary: str = ""
    classes: tuple[str, ...]
    network: dict[str, Any]
    preprocessing: Preprocessing
    targets: tuple[Target, ...] = ()
    trained_on: str = "unknown"
    unit: str = "unknown"
    bands: tuple[str, ...] = ()
    simulated: bool = False
    metrics: dict[str, Any] = {}
    version: str = ""
    taxonomy: Taxonomy | None = Field(None, description="of the classes, which are then its leaves")
    photometry: Photometry | None = Field(
        None, description="of the training set; light curves that state another one are refused"
    )

    @model_validator(mode="after")
    def _check_leaves(self) -> Self:
        if self.taxonomy is not None and tuple(self.taxonomy.leaves) != self.classes:
            raise ValueError("the leaves of the taxonomy are not the classes, in the same order")
        return self

    @property
    def flux_kind(self) -> Flux | None:
        """Difference or total photometry, as the model was trained; None if it doesn't say."""
        return None if self.photometry is None else self.photometry.flux

    def to_json(self) -> str:
        """Return the text of ``config.json``; without taxonomy or photometry as older versions wrote it."""
        absent = {name for name in ("taxonomy", "photometry") if getattr(self, name) is None}
        return self.model_dump_json(indent=2, exclude=absent) + "\n"


@dataclass(repr=False)
class Model:
    """A network with its configuration, preprocessing and calibration.

    Parameters
    ----------
    config : BundleConfig
    network : torch.nn.Module
        In evaluation mode.
    calibration : Calibration, optional
        Maps logits to probabilities, prediction sets and novelty; by default the softmax only.
    precision : {"auto", "float32", "bfloat16"}
        Precision of multiplications in ASTRAFier; see `resolve_precision`.
    hash : str
        First 12 digits of the SHA-256 of configuration, weights and calibration; empty if never saved.
    """

    config: BundleConfig
    network: nn.Module
    calibration: Calibration = None  # type: ignore[assignment]
    hash: str = ""
    folder: Path | None = field(default=None, repr=False)
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if self.calibration is None:
            self.calibration = Calibration.identity(len(self.config.classes))

    def __repr__(self) -> str:
        from goodricke.models.overview import card

        return card(self.config, self.hash)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.config.name

    @property
    def id(self) -> ModelId:
        """The model's identity in a row of predictions."""
        return ModelId(self.name, self.hash, self.classes, self.config.taxonomy)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.config.classes

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of the network's input."""
        return self.config.preprocessing

    @property
    def device(self) -> torch.device:
        """The network's device."""
        return next(self.network.parameters()).device

    @property
    def stochastic(self) -> bool:
        """Whether the network has dropout, so that Monte-Carlo passes differ."""
        return bool(self.network.stochastic)

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        return int(self.network.embedding_size)  # type: ignore[arg-type]

    def autocast(self) -> torch.autocast:
        """Return the context in which the network multiplies in the model's `precision`."""
        half = resolve_precision(self.precision, self.device) == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half and self.stochastic)

    @torch.inference_mode()
    def run(self, prepared: Prepared, rows: np.ndarray) -> NetworkOutput:
        """Run the network on the usable prepared objects in ``rows`` (B,), in one deterministic pass."""
        return self.run_batch(self.batch(prepared, rows))

    @torch.inference_mode()
    def run_batch(self, batch: Batch | StepBatch) -> NetworkOutput:
        """Run the network on a `batch`; see `run`."""
        with self.autocast():
            return threads.run(self.network, batch.to(self.device)).numpy()

    def batch(self, prepared: Prepared, rows: np.ndarray) -> Batch | StepBatch:
        """Return the prepared objects in ``rows`` (B,) as tensors, ready to be copied to the network's device."""
        batch = prepared.batch(rows, gpu.frame_multiple(self.device))
        return batch.pin_memory() if self.device.type == "cuda" else batch

    def parameters(self, standardised: np.ndarray) -> dict[str, np.ndarray]:
        """Return the regressed parameters by name, each (n,) in its unit, from the network's targets (n, k)."""
        return {t.name: t.physical(standardised[:, k]) for k, t in enumerate(self.config.targets)}

    @property
    def pairs(self) -> tuple[int, ...]:
        """Shape of an object's pairs of a candidate period and a class, (K, C); (0,) for other networks."""
        return tuple(getattr(self.network, "pairs", (0,)))

    def periods(
        self, pairs: np.ndarray, probabilities: np.ndarray, candidates: CandidatePeriods | None
    ) -> PeriodAnswer | None:
        """Return the answered periods of n objects, None if the model doesn't choose among candidates.

        Parameters
        ----------
        pairs : (n, K, C)
            Logits of one pass; NaN for unusable objects.
        probabilities : (n, C)
            Of the classes.
        candidates : CandidatePeriods, optional
            From the preprocessing.
        """
        return None if candidates is None else answered_periods(pairs, probabilities, candidates, self._periodic)

    @property
    def _periodic(self) -> np.ndarray:
        """Whether a class (C,) has a period; all have without a taxonomy."""
        leaves = {} if self.config.taxonomy is None else self.config.taxonomy.leaves
        return np.array([name not in leaves or leaves[name].period != "none" for name in self.classes])

    # ---- calibrated uncertainty ---------------------------------------------------------------------------------

    def prediction_sets(
        self,
        mode: Mode,
        probabilities: np.ndarray,
        n_points: np.ndarray,
        coverage: Coverage = COVERAGE,
    ) -> np.ndarray | None:
        """Return which classes are in the sets of n objects, bool (n, C); None if none were calibrated.

        Parameters
        ----------
        mode : {"one_pass", "monte_carlo", "stream"}
        probabilities : (n, C)
        n_points : int (n,)
            Points, or steps, of each object.
        coverage : Coverage
            See `goodricke.uncertainty.prediction_sets`.
        """
        sets = self.calibration.sets.get(mode)
        return None if sets is None else sets.sets(probabilities, n_points, coverage)

    def novelty(self, mode: Mode, features: np.ndarray, logits: np.ndarray, n_points: np.ndarray) -> np.ndarray | None:
        """Return how unlike the training set n objects are, (n,), or None; see `goodricke.uncertainty.novelty`.

        Parameters
        ----------
        mode : {"one_pass", "monte_carlo", "stream"}
        features, logits : (n, f) and (n, C)
            Of one pass, see `NetworkOutput`.
        n_points : int (n,)
        """
        novelty = self.calibration.novelty.get("one_pass" if mode == "monte_carlo" else mode)
        return None if novelty is None else novelty.rank(features, logits, n_points)

    # ---- state per object (multi-band models) -----------------------------------------------------------------

    def init_state(self, n: int, half: bool = False) -> State:
        """Return the state of ``n`` objects before their first observation; see `goodricke.models.recurrent_state`.

        Parameters
        ----------
        n : int
        half : bool
            Store the recurrent cells in float16, half the size.

        Raises
        ------
        TypeError
            If the model is not multi-band and has no state.
        """
        return State.empty(n, self._multiband()[0].config, half)

    def update(
        self,
        state: State,
        observations: LightCurves | Any,
        rows: np.ndarray | None = None,
        strict: bool = False,
        coverage: Coverage | float = COVERAGE,
    ) -> tuple[State, Predictions]:
        """Update the state with new observations of many objects; see `goodricke.models.recurrent_state`.

        Parameters
        ----------
        state : State
            Of n objects; not changed.
        observations : LightCurves, or whatever `goodricke.as_light_curves` takes
            New observations of m objects, in any order. An observation in the band and at the time of the object's last
            one is a repetition and changes nothing. All others are used: if the preprocessing alternates bands, give
            one observation per visit.
        rows : int (m,), optional
            Index of each light curve's object among the n; by default one after the other.
        strict : bool
            Raise at bands that the model lacks instead of dropping their observations.
        coverage : float or Coverage
            Of the prediction sets.

        Returns
        -------
        State
            Of the n objects.
        Predictions
            Of the m objects, equal to those of the complete light curves so far. ``OUT_OF_ORDER``: an observation is
            older than the object's state and was refused; rebuild the object from its history.

        Raises
        ------
        TypeError
            If the model has no state.
        ValueError
            If an object occurs twice, the numbers of objects don't match, or (strict) a band is unknown.
        """
        observations = as_light_curves(observations)
        update = self.update_arrays(state, observations, rows, strict, as_coverage(coverage))
        ids, status, n_obs = observations.object_id, update.status, update.n_obs
        return update.state, Predictions.build(update.output, self.id, ids, status, n_obs)

    def update_arrays(
        self,
        state: State,
        observations: LightCurves,
        rows: np.ndarray | None = None,
        strict: bool = False,
        coverage: Coverage = COVERAGE,
    ) -> Update:
        """Run `update` and return arrays instead of a table, for a live stream."""
        network, config = self._multiband()
        rows = np.arange(len(observations)) if rows is None else np.asarray(rows)
        if len(rows) != len(observations) or (len(rows) and not 0 <= rows.min() <= rows.max() < len(state)):
            raise ValueError(f"{len(observations)} light curves for rows {rows} of a state of {len(state)} objects")
        if strict:
            config.refuse_unknown_bands(observations)
        steps, context = stepper(network), object_context(observations, config) if config.columns else None
        state, late = recurrent_state.advance(steps, config, state, observations, rows)
        logits, embedding, targets = recurrent_state.read_out(steps, config, state, rows, context)
        counts = state.records["bands"]["count"][rows].astype(np.int64)
        n_steps, probabilities = recurrent_state.count_steps(counts), self.calibration.one_pass.probabilities(logits)
        output = Output(
            probabilities,
            entropy(probabilities),
            logits,
            embedding,
            self.parameters(targets),
            novelty=self.novelty("stream", embedding, logits, n_steps),
            prediction_set=self.prediction_sets("stream", probabilities, n_steps, coverage),
            coverage=coverage,
        )
        return Update(state, recurrent_state.stream_status(counts, config, late), late, counts.sum(1), output)

    def _multiband(self) -> tuple[Multiband, MultibandConfig]:
        if not isinstance(self.network, Multiband) or not isinstance(self.preprocessing, MultibandConfig):
            raise TypeError(f"{self.name} classifies complete light curves: only multi-band models have a state")
        return self.network, self.preprocessing

    def rounded(self) -> Model:
        """Return the model with weights rounded to float16, as `save` stores them and a loaded model has them."""
        network = copy.deepcopy(self.network)
        network.load_state_dict({name: weight.float() for name, weight in _stored(network, half=True).items()})
        return replace(self, network=network)

    def save(
        self,
        folder: str | Path,
        card: str,
        golden: Prepared | None = None,
        half: bool = True,
        same_weights: bool = False,
    ) -> Model:
        """Write the bundle and return the model as it will be loaded.

        The folder appears complete or not at all, and replaces an existing one.

        Parameters
        ----------
        folder : path
        card : str
            Text of ``README.md``.
        golden : Prepared, optional
            Objects whose outputs are recorded for `verify_model`.
        half : bool
            Store weights in float16 (half the size); arithmetic stays float32.
        same_weights : bool
            The weights are those of the model's folder: copy their file and the recorded outputs.
        """
        folder = Path(folder)
        with atomic_folder(folder) as partial:
            if same_weights and self.folder is not None:
                for name in ("model.safetensors", "golden.npz"):
                    if (self.folder / name).exists():
                        shutil.copyfile(self.folder / name, partial / name)
            else:
                weights = {name: weight.contiguous() for name, weight in _stored(self.network, half).items()}
                (partial / "model.safetensors").write_bytes(
                    save(weights)
                )  # safetensors' save_file makes a file that only its owner can read
            (partial / "config.json").write_text(self.config.to_json())
            self.calibration.write(partial)
            (partial / "README.md").write_text(card)
            if golden is not None:
                _record_golden(load_model(partial), golden, partial / "golden.npz")
        return load_model(folder)


# statistics whose rounding would change every output
_FULL_PRECISION = ("context_mean", "context_std", "standard.mean", "standard.std", "running_mean", "running_var")


def _stored(network: nn.Module, half: bool) -> dict[str, Tensor]:
    """Return the weights of a network as a bundle stores them."""
    weights = {name: weight.detach().cpu() for name, weight in network.state_dict().items()}
    if not half:
        return weights
    return {
        name: weight.half() if weight.is_floating_point() and not name.endswith(_FULL_PRECISION) else weight
        for name, weight in weights.items()
    }


def resolve_precision(precision: Precision, device: torch.device) -> Literal["float32", "bfloat16"]:
    """Return the precision of ``"auto"`` on a device; other precisions stay.

    On every CPU it is float32, even with matrix units for bfloat16 (AMX): in bfloat16 a probability depends on the
    other light curves in its batch, by up to 0.007, and the networks are no faster. On a GPU with bfloat16 arithmetic
    it is bfloat16.
    """
    if precision != "auto":
        return precision
    half = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if half else "float32"


def load_model(name: str | Path, device: str = "cpu", verify: bool = False, precision: Precision = "auto") -> Model:
    """Load a model from a folder, from the package or from a hub.

    Parameters
    ----------
    name : str or Path
        A folder; the name of a shipped model (`shipped_models`); or ``owner/name`` on the Hugging Face hub (needs
        ``pip install goodricke[hub]`` and network).
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ... or ``"auto"`` (a GPU if there is one).
    verify : bool
        Recompute the golden outputs and compare.
    precision : {"auto", "float32", "bfloat16"}
        See `resolve_precision`; `Model.precision` is the resolved one.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If the bundle is damaged or of a newer format, ``verify`` fails, or there is no such precision.
    RuntimeError
        If the device doesn't exist.

    Examples
    --------
    >>> model = load_model("variables")
    >>> model.name, len(model.classes), model.classes[:3]
    ('variables', 26, ('EA', 'EB', 'EW'))
    """
    if precision not in get_args(Precision):
        raise ValueError(f"no precision {precision}; there are {', '.join(get_args(Precision))}")
    folder = find_model(name)
    config = _read_config(folder)
    resolved = resolve_device(device)
    network = _network(folder, config)
    calibration = Calibration.read(folder, len(config.classes))
    model = Model(
        config, network.eval().to(resolved), calibration, _hash(folder), folder, resolve_precision(precision, resolved)
    )
    if verify:
        verify_model(model)
    return model


def find_model(name: str | Path) -> Path:
    """Return the folder of a model given by path, shipped name or hub id; see `load_model`."""
    for folder in (Path(name), SHIPPED / str(name)):
        if (folder / "config.json").exists():
            return folder
    if isinstance(name, str) and name.count("/") == 1 and not Path(name).exists():
        return fetch(name)
    shipped = shipped_models()
    near = get_close_matches(str(name).lower(), shipped, 1)
    raise FileNotFoundError(
        f"no model {str(name)!r}: neither a folder with a config.json nor a shipped model "
        f"({', '.join(shipped) or 'none'}){f'; did you mean {near[0]}?' if near else ''}"
    )


def read_config(name: str | Path) -> BundleConfig:
    """Return the configuration of a model without loading its weights."""
    return _read_config(find_model(name))


@cache
def is_simulated(name: str) -> bool:
    """Return whether a shipped model was trained on simulations; nothing is known of others."""
    return name in shipped_models() and read_config(name).simulated


def resolve_device(device: str) -> torch.device:
    """Return the torch device, which must exist.

    Raises
    ------
    RuntimeError
        If there is no such device, or no usable GPU.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(
            f"--device {device}: PyTorch {torch.__version__} sees no usable GPU here. "
            "Fix: install a CUDA build of torch and a driver, or use --device cpu (or auto)"
        )
    try:
        resolved = torch.device(device)
        exists = (
            resolved.index is None or resolved.index < torch.cuda.device_count() if resolved.type == "cuda" else True
        )
        if resolved.type != "cuda":
            torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, NotImplementedError):  # unknown kind of device, or not in this build
        exists = False
    if not exists:
        raise RuntimeError(f"--device {device}: there is none here. Fix: use cpu, cuda, cuda:1, ... or auto")
    return resolved


def verify_model(model: Model) -> float:
    """Recompute the golden outputs of a loaded model; return the largest difference of a logit.

    Raises
    ------
    ValueError
        If there are none, or they differ by more than `GOLDEN_TOLERANCE`.
    """
    path = (model.folder or Path()) / "golden.npz"
    if not path.exists():
        raise ValueError(f"{model.folder}: has no golden.npz, the outputs to compare with. Fix: copy the folder again")
    with np.load(path) as recorded:
        prepared = restore(recorded, model.preprocessing)
        logits, *_ = replace(model, precision="float32").run(prepared, np.arange(len(prepared)))
        worst = float(np.abs(logits - recorded["logits"]).max())
    if not worst < GOLDEN_TOLERANCE:
        raise ValueError(f"{model.folder}: recorded logits differ by {worst:.2g} (tolerance {GOLDEN_TOLERANCE:g})")
    return worst


def _record_golden(model: Model, golden: Prepared, path: Path) -> None:
    logits, embedding, *_ = replace(model, precision="float32").run(golden, np.arange(len(golden)))
    np.savez_compressed(path, allow_pickle=False, **golden.to_arrays(), logits=logits, embedding=embedding)


def _read_config(folder: Path) -> BundleConfig:
    try:
        content = json.loads((folder / "config.json").read_text())
    except ValueError as error:
        raise ValueError(f"{folder}: config.json is damaged ({error}). Fix: copy the folder again") from error
    if content.get("format", FORMAT) > FORMAT:
        raise ValueError(
            f"{folder}: format {content['format']} is newer than this goodricke ({FORMAT}). Fix: upgrade goodricke"
        )
    if content.get("family", "astrafier") not in FAMILIES:
        raise ValueError(f"{folder}: unknown family {content['family']!r}; this goodricke has {', '.join(FAMILIES)}")
    try:
        return BundleConfig.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(faults(error, BundleConfig))
        raise ValueError(
            f"{folder}: config.json is no model's configuration: {problems}. Fix: copy the folder again"
        ) from error


def _network(folder: Path, config: BundleConfig) -> nn.Module:
    """Return the network with the weights of its folder."""
    family = FAMILIES[config.family]
    try:
        network = family.network(TypeAdapter(family.config).validate_python(config.network))
        weights = load_file(folder / "model.safetensors")
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    except (OSError, RuntimeError, SafetensorError, ValidationError) as error:
        raise ValueError(
            f"{folder}: model.safetensors is damaged or doesn't fit config.json ({error}). Fix: copy the folder again"
        ) from error
    return network


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in ("config.json", "model.safetensors", "calibration.json", "calibration.safetensors"):
        if name != "calibration.safetensors" or (folder / name).exists():  # absent without sets and novelty
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:12]
