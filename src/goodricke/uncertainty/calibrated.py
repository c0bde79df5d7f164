"""`Calibration`: what a model has learned from validation objects about its own answers, and the files it is kept in.

Whole light curves are held against whole ones of the validation set. A *stream* answers after every observation: its
sets and novelty are held against validation light curves cut where it stands, stratum by stratum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from goodricke.uncertainty.calibration import Scaling
from goodricke.uncertainty.conformal import Conformal
from goodricke.uncertainty.novelty import Detector, Novelty

Mode = Literal["one_pass", "monte_carlo", "stream"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Maps to probabilities, scores for prediction sets, and what is usual.

    Parameters
    ----------
    one_pass, monte_carlo : Scaling
        Of logits of one pass, and of each of some Monte-Carlo passes.
    sets : dict of Conformal
        By mode; none if nothing was fitted.
    novelty : dict of Novelty
        By mode; Monte-Carlo passes share that of one pass.
    """

    one_pass: Scaling
    monte_carlo: Scaling
    sets: Mapping[Mode, Conformal] = field(default_factory=dict)
    novelty: Mapping[Mode, Novelty] = field(default_factory=dict)

    @classmethod
    def none(cls, classes: int) -> Calibration:
        """Return what leaves the softmax of the logits as it is, and knows of no sets and no novelty."""
        same = Scaling.of_temperature(1.0, classes)
        return cls(same, same)

    def scaling(self, mode: Mode) -> Scaling:
        """Return the map of a mode; a stream's probabilities are those of one pass over what it has seen."""
        return self.monte_carlo if mode == "monte_carlo" else self.one_pass

    def write(self, folder: Path) -> None:
        """Write ``calibration.json`` and, if there are sets or novelty, ``calibration.safetensors``."""
        from safetensors.numpy import save

        detector = next((known.detector for known in self.novelty.values()), None)
        told: dict[str, Any] = {"one_pass": self.one_pass.to_dict(), "monte_carlo": self.monte_carlo.to_dict()}
        told["novelty"] = None if detector is None else detector.kind
        told["modes"] = {"sets": sorted(self.sets), "novelty": sorted(self.novelty)}
        (folder / "calibration.json").write_text(json.dumps(told) + "\n")
        arrays = {} if detector is None else {f"detector.{name}": x for name, x in detector.arrays.items()}
        for kind, known in (("sets", self.sets), ("novelty", self.novelty)):
            for mode, one in known.items():
                names = ("score", "stratum", "edges", *(("label",) if isinstance(one, Conformal) else ()))
                arrays |= {f"{kind}.{mode}.{name}": np.ascontiguousarray(getattr(one, name)) for name in names}
        path = folder / "calibration.safetensors"
        path.unlink(missing_ok=True)
        if arrays:
            path.write_bytes(save(arrays))  # save_file lets nobody else read it

    @classmethod
    def read(cls, folder: Path, classes: int) -> Calibration:
        """Return the calibration of a model's folder.

        Raises
        ------
        ValueError
            If it is damaged or of another model.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            told = json.loads((folder / "calibration.json").read_text())
            path = folder / "calibration.safetensors"
            return cls._of(told, load_file(path) if path.exists() else {}, classes)
        except (OSError, ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
            why = f"{type(error).__name__}: {error}"
            raise ValueError(f"{folder}: its calibration is damaged ({why}). Copy the folder anew") from error

    @classmethod
    def _of(cls, told: dict[str, Any], arrays: dict[str, NDArray], classes: int) -> Calibration:
        if "temperature" in told:  # as models of goodricke 0.1 keep it
            old = [Scaling.of_temperature(float(told[k]), classes) for k in ("temperature", "mc_temperature")]
            return cls(old[0], old[1])
        scaling = [Scaling.from_dict(told[mode], classes) for mode in ("one_pass", "monte_carlo")]
        modes, detector = told["modes"], Detector(told["novelty"], _under("detector.", arrays))
        sets = {m: Conformal(**_under(f"sets.{m}.", arrays), classes=classes) for m in modes["sets"]}
        novelty = {m: Novelty(detector, **_under(f"novelty.{m}.", arrays)) for m in modes["novelty"]}
        return cls(scaling[0], scaling[1], sets, novelty)


def _under(prefix: str, arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return the arrays whose names begin so, without it."""
    return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}
