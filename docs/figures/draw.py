"""Draw all figures: ``python docs/figures/draw.py``; some of them: ``python docs/figures/draw.py folding passes``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parent / "images"


def main(names: list[str]) -> None:
    """Draw the figures of these names into ``docs/images``, all of them if none is named."""
    sys.path.insert(0, str(HERE.parent))
    from figures import astrafier, folding, gallery, history, multiband, passes

    modules = (astrafier, folding, history, multiband, passes, gallery)
    for module in modules:
        name = module.__name__.rpartition(".")[2]
        if not names or name in names:
            module.draw(IMAGES)
            print(f"{name} drawn")


if __name__ == "__main__":
    main(sys.argv[1:])
