"""The training recipe: the commented examples that the package prints, and every key with its default."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from generators.markdown import code, table
from goodricke.models.astrafier import AstrafierConfig
from goodricke.models.multiband import MultibandNetworkConfig
from goodricke.models.variables import VariablesNetworkConfig
from goodricke.preprocess import DenseConfig, FoldedConfig, MultibandConfig, VariablesConfig
from goodricke.preprocess.candidates import CandidateSearch
from goodricke.training import recipe
from goodricke.training.fit_multiband import EnsembleConfig
from goodricke.training.pretraining import PretrainingConfig

SECTIONS: dict[str, tuple[str, type[BaseModel]]] = {
    "top": ("Above all sections", recipe.Recipe),
    "data": ("`[data]`", recipe.DataConfig),
    "targets": ("`[data.targets.NAME]`", recipe.TargetConfig),
    "taxonomy": ("`[taxonomy]`", recipe.TaxonomyConfig),
    "survey": ("`[data.surveys.NAME]`", recipe.SurveyConfig),
    "variables": ('`[preprocessing] kind = "variables"`', VariablesConfig),
    "search": ("`[preprocessing.search]`", CandidateSearch),
    "folded": ('`[preprocessing] kind = "folded"`', FoldedConfig),
    "dense": ('`[preprocessing] kind = "dense"`', DenseConfig),
    "multiband": ('`[preprocessing] kind = "multiband"`', MultibandConfig),
    "variables-network": ("`[network]` of `variables`", VariablesNetworkConfig),
    "astrafier": ("`[network]` of ASTRAFier", AstrafierConfig),
    "ensemble-network": ("`[network]` of the multi-band ensemble", MultibandNetworkConfig),
    "training": ("`[training]`", recipe.TrainingConfig),
    "ensemble": ("`[training.ensemble]`", EnsembleConfig),
    "pretraining": ("`[pretraining]`", PretrainingConfig),
}
# sizes of the networks that follow from data and preprocessing
DERIVED: dict[type[BaseModel], set[str]] = {
    AstrafierConfig: {"classes", "channels", "context"},
    MultibandNetworkConfig: {"bands", "classes", "width", "context", "targets"},
    VariablesNetworkConfig: {"classes", "candidates", "bins", "channels", "star", "candidate"},
}


def example(kind: str) -> str:
    """Return the example that ``goodricke train --example`` prints."""
    return f"```toml\n{recipe.example(kind)}```\n"


def keys() -> str:
    """Return a table of keys for each section."""
    return "\n".join(f"### {title}\n\n{_keys(config)}" for title, config in SECTIONS.values())


def meaning(config: type[BaseModel], name: str) -> str:
    """Return what a key means: its description in the section's class, or else in a class that this one extends."""
    fields = (cls.model_fields.get(name) for cls in config.__mro__ if issubclass(cls, BaseModel))
    return next((field.description for field in fields if field is not None and field.description), "")


def _keys(config: type[BaseModel]) -> str:
    rows = []
    for name, field in config.model_fields.items():
        if name in DERIVED.get(config, ()):
            continue
        if isinstance(field.default, BaseModel) or (name == "kind" and isinstance(field.default, str)):
            continue
        rows.append([code(name), _default(field), _escaped(meaning(config, name))])
    return table(["key", "default", "meaning"], rows)


def _default(field: Any) -> str:
    if field.is_required():
        return "**required**"
    value = field.default if field.default is not PydanticUndefined else field.default_factory()
    if value is None:
        return ""
    value = list(value) if isinstance(value, tuple) else value
    return code(f"{value:.6g}" if isinstance(value, float) else str(value).replace("'", '"') or '""')


def _escaped(text: str) -> str:
    return text.replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")
