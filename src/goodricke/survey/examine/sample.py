"""A catalog as the numbers and figures need it: one row per light curve, with whatever was joined to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.io.roles import normal_name
from goodricke.survey.crossmatch import take_rows
from goodricke.survey.variability import PLACE

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

CUTS = (0.5, 0.8)  # probability cuts of the paper's Fig. 12
HYBRID_SHARE = 0.2  # share of the second of two classes from which on a star is a hybrid candidate (Fig. 14)
PREFIXES = ("gaia", "tic")
NAMES = {  # of a quantity in tables, in normal form, the preferred first
    "teff": ("teffgspphot", "teffgspspec", "teff", "teffk", "teffval", "steff", "tefflamost", "effectivetemperature"),
    "g": ("photgmeanmag", "gmag", "gaiamag"),
    "bp": ("photbpmeanmag", "bpmag", "bp"),
    "rp": ("photrpmeanmag", "rpmag", "rp"),
    "bp_rp": ("bprp",),
    "parallax": ("parallax", "plx"),
    "parallax_error": ("parallaxerror", "eplx", "eparallax"),
    "extinction": ("aggspphot", "ag"),
    "reddening": ("ebpminrpgspphot", "ebpminrp", "ebprp"),
    "ra": ("ra", "raj2000", "radeg"),
    "dec": ("dec", "dej2000", "decdeg"),
    "f1": ("f1",),
    "A1": ("a1",),
    "span": ("span",),
}


@dataclass(frozen=True, eq=False)
class CatalogSample:
    """The light curves of a catalog.

    Parameters
    ----------
    table : pyarrow.Table (n rows)
        The catalog's columns (see `goodricke.Predictions`), and those that were joined to it.
    classes : tuple of str (C,)
    label : int64 (n,)
        Index of the class of the object's label; -1 without a label.
    cuts : tuple of float
        Probabilities from which on an object counts as one of its class, increasing.
    pair : tuple of str, optional
        Two classes between which hybrids are looked for; without it, the two most probable ones of each object.
    """

    table: pa.Table
    classes: tuple[str, ...]
    label: NDArray[np.int64]
    cuts: tuple[float, ...] = CUTS
    pair: tuple[str, str] | None = None

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Class probabilities (n, C), NaN where there are none."""
        columns = [_floats(self.table[f"p_{name}"]) for name in self.classes]
        return np.stack(columns, 1).astype(np.float32)

    @cached_property
    def p_max(self) -> Float:
        """Probability of the most probable class (n,), NaN where nothing was classified."""
        return np.where(self.classified, np.nan_to_num(self.probabilities, nan=-1).max(1, initial=0), np.nan)

    @cached_property
    def classified(self) -> Mask:
        """Which light curves have probabilities (n,)."""
        return np.asarray(np.isfinite(self.probabilities).all(1))

    @cached_property
    def assigned(self) -> NDArray[np.int64]:
        """Index of the most probable class (n,), -1 where nothing was classified."""
        best = np.nan_to_num(self.probabilities, nan=-1).argmax(1) if len(self) else np.zeros(0, np.int64)
        return np.where(self.classified, best, -1)

    @cached_property
    def star(self) -> NDArray[np.int64]:
        """Number of the star of each light curve (n,): those with one id are of one star."""
        ids = pc.dictionary_encode(self.table["object_id"].combine_chunks().cast(pa.string()).fill_null(""))
        return ids.indices.to_numpy(zero_copy_only=False).astype(np.int64)

    @cached_property
    def best(self) -> Mask:
        """The most confidently classified light curve of each star (n,): the one that figures show, as in Fig. 12."""
        order = np.lexsort((np.arange(len(self)), -np.nan_to_num(self.p_max, nan=-1), self.star))
        chosen = np.zeros(len(self), bool)
        chosen[order[np.flatnonzero(np.diff(self.star[order], prepend=-1))]] = True
        return chosen & self.classified

    def of_class(self, k: int, cut: float = 0.0) -> Mask:
        """Return the stars whose most probable class is ``k``, with a probability of at least ``cut`` (n,)."""
        return self.best & (self.assigned == k) & (np.nan_to_num(self.p_max) >= cut)

    def labelled(self, k: int) -> Mask:
        """Return the stars with a label of class ``k`` (n,)."""
        return self.best & (self.label == k)

    def numbers(self, quantity: str) -> Float:
        """Return a quantity of `NAMES` (n,), NaN where unknown."""
        name = self.column_of(quantity)
        if name is not None:
            return _floats(self.table[name])
        if quantity == "bp_rp":
            return self.numbers("bp") - self.numbers("rp")
        return np.full(len(self), np.nan)

    def has(self, quantity: str) -> bool:
        """Return whether a quantity is known for at least one light curve."""
        return bool(np.isfinite(self.numbers(quantity)).any())

    def column_of(self, quantity: str) -> str | None:
        """Return the column that holds a quantity, None if there is none."""
        known: dict[str, str] = {}
        for name, kind in zip(self.table.column_names, self.table.schema.types, strict=True):
            plain = normal_name(name)
            bare = next((plain[len(p) :] for p in PREFIXES if plain.startswith(p) and name[len(p) :][:1] == "_"), plain)
            if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
                known.setdefault(bare, name)
                known[plain] = name
        return next((known[alias] for alias in NAMES[quantity] if alias in known), None)

    def shares(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
        """Return first and second class of each light curve (n,), and the second's share of the two (n,).

        With a ``pair``, of its two classes only: p2 / (p1 + p2), "normalized probabilities for the two classes"
        (Fig. 14). Nothing classified, or of another class: NaN.
        """
        n, p = len(self), np.nan_to_num(np.asarray(self.probabilities, np.float64), nan=-1.0)
        if len(self.classes) < 2 or not n:
            return np.full(n, -1), np.full(n, -1), np.full(n, np.nan)
        if self.pair is None:
            order = np.argsort(-p, axis=1, kind="stable")[:, :2]
        else:
            two = np.array([self.classes.index(name) for name in self.pair])
            order = two[np.argsort(-p[:, two], axis=1, kind="stable")]
        values = np.take_along_axis(p, order, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.asarray(values[:, 1] / values.sum(1), np.float64)
        good = self.classified & (self.assigned == order[:, 0])
        return order[:, 0], order[:, 1], np.where(good, share, np.nan)

    def hybrids(self, cut: float | None = None) -> Mask:
        """Return the hybrid candidates (n,): the second class's share is above `HYBRID_SHARE`, the first is at the cut.

        With a ``pair`` the cut holds for the sum of the two probabilities: a true hybrid splits them.
        """
        cut = self.cuts[0] if cut is None else cut
        first, second, share = self.shares()
        sure: NDArray[np.floating] = self.p_max
        if self.pair is not None and len(self) and len(self.classes) > 1:
            rows = np.arange(len(self))
            sure = self.probabilities[rows, first] + self.probabilities[rows, second]
        return self.best & (np.nan_to_num(share) > HYBRID_SHARE) & (np.nan_to_num(sure) >= cut)


def light_curve_keys(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Return a text per row (n,) that identifies it: id, some columns, and how many earlier rows have the same."""
    parts = [table[name].combine_chunks().cast(pa.string()).fill_null("") for name in ("object_id", *columns)]
    text = pc.binary_join_element_wise(*parts, "\x1f")
    codes = pc.dictionary_encode(text).indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    first = np.flatnonzero(np.diff(codes[order], prepend=-1))
    nth = np.empty(len(codes), np.int64)
    nth[order] = np.arange(len(codes)) - np.repeat(first, np.diff(np.append(first, len(codes))))
    return pc.binary_join_element_wise(text, pa.array(nth).cast(pa.string()), "\x1f")


def match_light_curves(table: pa.Table, other: pa.Table) -> NDArray[np.int64]:
    """Return which row of ``other`` is of the same light curve (n,), -1 where none is.

    By ``object_id`` and those of source, sector, quarter, campaign, camera and CCD that both tables have. If the
    sources have different names (the light curves have been packed or moved since), by the others. Light curves that
    are still not distinct are matched in order.
    """
    both = [name for name in PLACE if _has_values(table, name) and _has_values(other, name)]
    best = np.full(len(table), -1)
    for columns in (both, [name for name in both if name != "source"]):
        keys, others = light_curve_keys(table, columns), light_curve_keys(other, columns)
        rows = pc.index_in(keys, others).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        if (rows >= 0).sum() > (best >= 0).sum():
            best = rows
    return best


def _has_values(table: pa.Table, name: str) -> bool:
    return name in table.column_names and table[name].null_count < len(table)


def join_columns(table: pa.Table, other: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    """Return a table with the columns of ``other`` that it lacks, null where its row (n,) is -1."""
    new = [name for name in other.column_names if name not in table.column_names]
    columns = take_rows(other.select(new), rows)
    for name in new:
        table = table.append_column(name, columns[name])
    return table


def _floats(column: pa.ChunkedArray) -> Float:
    return column.cast(pa.float64()).to_numpy()
