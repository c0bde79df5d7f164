"""Checkpoints in the published ASTRAFier (Lightning) format, read into `goodricke.models.astrafier`.

A checkpoint becomes a network with ``compat="published"``, which reproduces the published code's numbers. They depend
on the padded length: the weights were trained on light curves padded or cut to `PADDED_LENGTH` points, and need the
same. Every tensor is matched by name, none is skipped silently, and no pickled code is run.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.hub import fetch_checkpoint, is_hub_name

PADDED_LENGTH = 1171  # 30-minute cadences of one TESS sector, to which the published code pads and cuts
DEFAULT_HEADS = 8  # the only size that doesn't follow from a tensor's shape

_BLOCKS = "model.classifier.lsatt_conv_layers."
_W, _WB = ("weight",), ("weight", "bias")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
# Modules of a block: published name, name here, tensors. "BatchNorm" under conv and conv2 is a group norm.
_MODULES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("conv2.pointwise1", "recurrent.pointwise1", _W),
    ("conv2.convolution", "recurrent.conv", _WB),
    ("conv2.BatchNorm", "recurrent.norm2", _WB),
    ("conv2.pointwise2", "recurrent.pointwise2", _W),
    ("norm2", "norm1", _WB),
    ("MHSA.attention.QKV", "transformer.attention.qkv", _WB),
    ("MHSA.attention.ffn", "transformer.attention.out", _WB),
    ("MHSA.norm1", "transformer.norm1", _WB),
    ("MHSA.cffn.convo1", "transformer.pointwise1", _W),
    ("MHSA.cffn.convo2", "transformer.conv", _WB),
    ("MHSA.cffn.norm", "transformer.norm", _WB + _STATISTICS),
    ("MHSA.cffn.convo3", "transformer.pointwise2", _W),
    ("MHSA.norm2", "transformer.norm2", _WB),
    ("conv.pointwise1", "convolution.pointwise1", _W),
    ("conv.convolution", "convolution.convs.0", _WB),
    ("conv.BatchNorm", "convolution.norms.0", _WB),
    ("conv.convolution1", "convolution.convs.1", _WB),
    ("conv.BatchNorm1", "convolution.norms.1", _WB),
    ("conv.convolution2", "convolution.convs.2", _WB),
    ("conv.BatchNorm2", "convolution.norms.2", _WB),
    ("conv.longrange", "convolution.convs.3", _WB),
    ("conv.batchNorm2", "convolution.norms.3", _WB),
    ("conv.pointwise2", "convolution.pointwise2", _W),
    ("norm1", "norm2", _WB),
)
_TOLERATED = {"loss_fn.weight"}  # the class weights of the training loss


class Checkpoint(NamedTuple):
    """A checkpoint's file, and where it comes from."""

    path: Path
    name: str  # of the file, or its address on the hub
    commit: str  # of the repository on the hub, empty for a file
    sha256: str

    def __str__(self) -> str:
        revision = f", revision {self.commit}" if self.commit else ""
        return f"{self.name}{revision}, SHA-256 {self.sha256}"


class CheckpointError(ValueError):
    """A file isn't a checkpoint that this version can run; the message names the reason."""


def published_classes() -> tuple[str, ...]:
    """Return the published network's classes in the order of its logits."""
    return (
        "APERIODIC",
        "CONTACT_ROT",
        "DSCT_BCEP",
        "ECLIPSE",
        "GDOR_SPB",
        "INSTRUMENT/JUNK",
        "RRLYR_CEPH",
        "SOLARLIKE",
    )


def find_checkpoint(name: str) -> Checkpoint:
    """Return a checkpoint given by path, or by a name on the Hugging Face hub; see `hub.fetch_checkpoint`.

    Raises
    ------
    FileNotFoundError
        If there is none; the message says why, and what to do.
    """
    path = Path(name)
    if not path.exists() and is_hub_name(name):
        found = fetch_checkpoint(name)
        return Checkpoint(found.path, str(found.address), found.commit, found.sha256)
    if not path.is_file():
        fix = "give a file (.ckpt or .safetensors), or OWNER/NAME of a repository on the Hugging Face hub"
        raise FileNotFoundError(f"{name}: {'is a folder' if path.is_dir() else 'does not exist'}. Fix: {fix}")
    with open(path, "rb") as file:
        return Checkpoint(path, path.name, "", hashlib.file_digest(file, "sha256").hexdigest())


def published_card(name: str, checkpoint: Checkpoint) -> str:
    """Return the card of a model made of a checkpoint."""
    revision = f"- revision: `{checkpoint.commit}`\n" if checkpoint.commit else ""
    return f"""# {name}

Published ASTRAFier weights (Gregory et al.), imported from a checkpoint:

- checkpoint: `{checkpoint.name}`
{revision}- SHA-256: `{checkpoint.sha256}`

The network runs with `compat="published"`: it repeats the published code's behaviour, including where that departs from
the paper, and pads every light curve to {PADDED_LENGTH:,} points as the weights were trained. The authors trained it on
Kepler and TESS light curves of about a sector, in {len(published_classes())} classes. Nothing was measured here: the
paper's Table 4 has an accuracy of 88.22 % on the authors' test set, and

```
goodricke evaluate {name} --light-curves hf://datasets/paulg9/astrafier_dataset/test.safetensors
```

scores this model on it beside the paper's figures. Licence: that of the checkpoint.
"""


def published_probabilities(samples: Tensor) -> Tensor:
    """Return the probabilities that the published code reports from Monte-Carlo passes.

    Parameters
    ----------
    samples : Tensor (S, B, C)
        Class probabilities of S >= 2 passes.

    Returns
    -------
    Tensor (B, C)
        Mean of the Dirichlet distribution fitted to the samples' moments on top of a uniform prior.

    Raises
    ------
    ValueError
        If there are fewer than two passes, which have no variance.

    Notes
    -----
    With mean m_c and unbiased variance v_c, the strength is the mean over classes of
    ``max(0, m_c (1 - m_c) / v_c - 1)`` and the probability ``(1 + strength m_c) / (C + strength)``: shrunk towards 1/C
    where the passes disagree.
    """
    if samples.shape[0] < 2:
        raise ValueError(f"a variance needs at least two Monte-Carlo passes, not {samples.shape[0]}")
    mean, variance = samples.mean(0), samples.var(0, unbiased=True)  # (B, C)
    strength = (mean * (1 - mean) / (variance + 1e-12) - 1).clamp(min=0).mean(1, keepdim=True)  # (B, 1)
    return (1 + strength * mean) / (samples.shape[2] + strength)  # (B, C)


def load_published(path: str | Path, require_head: bool = True, heads: int | None = None) -> Astrafier:
    """Load a checkpoint in the published format.

    Parameters
    ----------
    path : str or Path
        A Lightning checkpoint, a bare state dict, or a ``.safetensors`` file of one.
    require_head : bool
        Whether a checkpoint without classification head is an error; otherwise the head stays at initialisation.
    heads : int, optional
        Number of attention heads; by default from the checkpoint's ``hyper_parameters``, else 8.

    Returns
    -------
    Astrafier
        With ``compat="published"``, in evaluation mode; the other sizes follow from the tensors' shapes.

    Raises
    ------
    CheckpointError
        If the file can't be read without running pickled code, or its tensors aren't those of the published network.
    """
    try:
        state, hyper = _read(Path(path))
        return _build(rename(state, require_head), heads or hyper.get("heads", DEFAULT_HEADS))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error.__cause__


def rename(state_dict: Mapping[str, Tensor], require_head: bool = True) -> dict[str, Tensor]:
    """Return the published state dict's tensors with the names and shapes of `Astrafier`.

    Parameters
    ----------
    state_dict : mapping of str to Tensor
        The published keys, 61 per block and 10 more, optionally ``loss_fn.weight``.
    require_head : bool
        Whether the head's 8 keys are required.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    CheckpointError
        If keys are missing, unknown, or of the older architecture with batch norms.
    """
    keys = set(state_dict) - _TOLERATED
    _refuse_batch_norms(keys)
    names = _names(_count_blocks(keys), head=require_head or any(key.startswith("head.") for key in keys))
    problems = [("missing", set(names) - keys), ("unexpected", keys - set(names))]
    if mismatch := "; ".join(f"{len(which)} {what}: {_join_keys(which)}" for what, which in problems if which):
        raise CheckpointError(f"not the published ASTRAFier network's tensors. {mismatch}{_hint(keys, require_head)}")
    # A pointwise convolution (C', C, 1) is a linear map (C', C) here.
    return {name: state_dict[key].squeeze(2) if "pointwise" in name else state_dict[key] for key, name in names.items()}


def _names(blocks: int, head: bool) -> dict[str, str]:
    """Return the name in `Astrafier` of every published key."""
    modules: list[tuple[str, str, tuple[str, ...]]] = [("model.classifier.embed1", "embed", _WB)]
    modules += [(f"head.head.{k}", f"head.{k}", _WB) for k in (0, 1, 4, 7) if head]
    for b in range(blocks):
        modules += [(f"{_BLOCKS}{b}.{old}", f"blocks.{b}.{new}", kinds) for old, new, kinds in _MODULES]
    names = {f"{old}.{kind}": f"{new}.{kind}" for old, new, kinds in modules for kind in kinds}
    return names | {old: new for b in range(blocks) for old, new in _lstm_names(b)}


def _lstm_names(block: int) -> Iterable[tuple[str, str]]:
    """Yield the recurrent layers' keys: one published LSTM, here one per layer and direction."""
    directions = (("", "forwards"), ("_reverse", "backwards"))
    for layer, (suffix, direction) in product(range(2), directions):
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            new = f"blocks.{block}.recurrent.lstm.{direction}.{layer}.{kind}_l0"
            yield f"{_BLOCKS}{block}.lstm.{kind}_l{layer}{suffix}", new


def _count_blocks(keys: Iterable[str]) -> int:
    """Return the number of blocks up to the highest one with a key, so that a gap shows as missing keys."""
    matches = (re.match(re.escape(_BLOCKS) + r"(\d+)\.", key) for key in keys)
    return max((int(match[1]) + 1 for match in matches if match), default=1)


def _refuse_batch_norms(keys: Iterable[str]) -> None:
    """Raise on batch-norm statistics, whose weights have the names of the published group norms."""
    older = [key for key in keys if re.search(r"\.conv2?\.", key) and key.endswith("running_mean")]
    if older:
        raise CheckpointError(
            f"an older checkpoint, with batch norms in its convolution modules ({_join_keys(older)}), which "
            "this version can't run: it would load and give wrong numbers. Fix: use the published one with group norms"
        )


def _join_keys(keys: Iterable[str], limit: int = 6) -> str:
    """Join the first few keys."""
    ordered = sorted(keys)
    return ", ".join(ordered[:limit]) + (", ..." if len(ordered) > limit else "")


def _hint(keys: Iterable[str], require_head: bool) -> str:
    """Return the likely fix, if any."""
    if require_head and not any(key.startswith("head.") for key in keys):
        return ". It has no head. Fix: require_head=False, for embeddings only"
    return ""


def _read(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """Return a file's state dict and hyper-parameters, none of it by running pickled code."""
    if path.suffix == ".safetensors":
        return _read_safetensors(path), {}
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "it holds more than tensors and plain values, or isn't a checkpoint at all; loading it would run pickled "
            "code, which goodricke never does. Fix: save its state_dict as .safetensors and load that"
        ) from error
    except OSError:
        raise
    except Exception as error:  # damaged files raise various errors in torch
        raise CheckpointError(f"not a checkpoint, or truncated. torch says: {_first_line(error)}") from error
    return _parts(checkpoint)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"not a safetensors file, or truncated: {_first_line(error)}") from error


def _parts(checkpoint: object) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """Return the state dict and the hyper-parameters of a Lightning checkpoint, or of a bare state dict."""
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError("neither a Lightning checkpoint with a state_dict nor a state dict of tensors")
    hyper = checkpoint.get("hyper_parameters") if isinstance(checkpoint, Mapping) else None
    return state, hyper if isinstance(hyper, Mapping) else {}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _build(state: dict[str, Tensor], heads: int) -> Astrafier:
    """Return the network with the renamed tensors."""
    try:
        model = Astrafier(_config(state, heads))
        if "head.0.weight" not in state:
            state = state | {key: value for key, value in model.state_dict().items() if key.startswith("head.")}
        model.load_state_dict(state)
    except (ValueError, IndexError, RuntimeError) as error:
        raise CheckpointError(f"its tensors don't fit together as an ASTRAFier network: {error}") from error
    return model.eval()


def _config(state: Mapping[str, Tensor], heads: int) -> AstrafierConfig:
    """Return the configuration from the shapes of the renamed tensors."""
    embed, channels = state["embed.weight"].shape
    first = "blocks.0.convolution.convs."
    return AstrafierConfig(
        classes=state["head.7.weight"].shape[0] if "head.7.weight" in state else len(published_classes()),
        embed=embed,
        heads=heads,
        blocks=1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks.")),
        hidden=state["blocks.0.transformer.pointwise1.weight"].shape[0],
        kernels=tuple(state[f"{first}{k}.weight"].shape[2] for k in range(4)),
        channels=channels,
        encoding="fast",
        projection="published",
        compat="published",
    )
