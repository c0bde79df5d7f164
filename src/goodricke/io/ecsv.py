"""The header of ECSV files: YAML in comment lines, with time formats that only lightkurve knows."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

from astropy.table import meta

COMMENTS = re.compile(rb"(?:#[^\n]*(?:\n|\Z))*")
# Days from a zero point of their own, which lightkurve adds to the formats of `astropy.time`; see `ZERO_POINTS`.
OWN_FORMAT = re.compile(rb"(\bformat: *)(btjd|bkjd)\b")


def header(raw: bytes) -> Mapping[str, Any]:
    """Return the metadata of an ECSV file, the names in upper case; none if its header can't be parsed."""
    lines = COMMENTS.match(raw)[0].decode("utf-8", "replace").splitlines()  # type: ignore[index]  # matches anything
    try:
        with warnings.catch_warnings(action="ignore"):
            parsed = meta.get_header_from_yaml(line[2:] for line in lines if not line.startswith("# %"))
        return {str(name).upper(): value for name, value in parsed.get("meta", {}).items()}
    except Exception:  # a YAML parser raises what it likes; the reader of the table tells what is wrong
        return {}


def with_known_times(raw: bytes) -> tuple[bytes, str | None]:
    """Return an ECSV file that astropy opens without lightkurve, and the scale of its times if they needed that.

    The numbers stay what they are: days that astropy takes as MJD.
    """
    end = COMMENTS.match(raw).end()  # type: ignore[union-attr]  # matches anything
    own = OWN_FORMAT.search(raw, 0, end)
    if own is None:
        return raw, None
    return OWN_FORMAT.sub(rb"\1mjd", raw[:end]) + raw[end:], own[2].decode().upper()
