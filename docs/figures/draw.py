"""Draw all pictures again: ``python docs/figures/draw.py``; some of them: ``... draw.py folding passes``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parent / "images"


def main(names: list[str]) -> None:
    """Draw the pictures of these names into ``docs/images``, all without names."""
    sys.path.insert(0, str(HERE.parent))
    from figures import astrafier, folding, gallery, history, multiband, passes

    known = {"astrafier": astrafier, "folding": folding, "history": history, "multiband": multiband, "passes": passes}
    for name, module in {**known, "gallery": gallery}.items():
        if not names or name in names:
            module.draw(IMAGES)
            print(f"{name} drawn")


if __name__ == "__main__":
    main(sys.argv[1:])
