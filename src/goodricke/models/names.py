"""Which models there are and what can be said of them by name, without loading PyTorch."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent / "shipped"
FILES = ("config.json", "model.safetensors", "calibration.json", "calibration.safetensors", "golden.npz", "README.md")


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def completions(incomplete: str) -> list[str]:
    """Return the shipped models whose names begin like this; where there are none, shells offer files and folders."""
    return [name for name in shipped_models() if name.startswith(incomplete)]
