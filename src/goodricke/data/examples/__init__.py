"""Light curves that come with the package: twelve variable stars of the ASAS survey."""

from pathlib import Path


def example_files() -> list[str]:
    """Return the paths of the light curves, one CSV file per star."""
    return sorted(str(path) for path in (Path(__file__).parent / "asas").glob("*.csv"))
