"""Training, validation and test sets that share no star."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SAME_STAR = 5.0  # arcsec
CROWD = 100  # ids at one and the same position beyond which it is that of a field

log = logging.getLogger(__name__)


def split_by_star(
    star: Sequence[str] | NDArray,
    label: Sequence[str] | NDArray,
    test: float = 0.2,
    validation: float = 0.1,
    seed: int = 42,
    fold: tuple[int, int] | None = None,
) -> NDArray[np.str_]:
    """Assign every light curve to ``train``, ``validation`` or ``test``, all those of one star to the same.

    Parameters
    ----------
    star : (n,)
        Which star each light curve is of; see `stars`.
    label : (n,)
        Stratified on each star's most frequent label.
    test : float
        Fraction of the stars held out (section 5: 0.2), at least one of each class unless it is 0.
    validation : float
        Fraction of the remaining stars (section 5: 0.1).
    seed : int
    fold : (int, int), optional
        As (k, n): the remaining stars fall into n folds, and the k-th, counted from 1, is for validation.

    Raises
    ------
    ValueError
        If a class has fewer than three stars, two without a test set: it can't be in all sets.
    """
    names, index = np.unique(np.asarray(star).astype(str), return_inverse=True)
    classes, code = np.unique(np.asarray(label).astype(str), return_inverse=True)
    votes = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(votes, (index, code), 1)
    main = votes.argmax(1)  # (stars,)
    members = np.bincount(main, minlength=len(classes))
    least = 3 if test else 2
    if members.min() < least:
        few = ", ".join(f"{classes[c]} ({members[c]})" for c in np.flatnonzero(members < least))
        raise ValueError(
            f"too few stars for a split in {'three' if test else 'two'}: {few}. Merge or drop these classes "
            "([data] merge, drop)"
        )
    rng = np.random.default_rng(seed)
    part = np.empty(len(names), dtype="<U10")
    for c in range(len(classes)):
        of_class = rng.permutation(np.flatnonzero(main == c))
        n_test = np.clip(round(test * len(of_class)), 1, len(of_class) - 2) if test else 0  # leave one for the others
        rest = of_class[n_test:]
        n_validation = np.clip(round(validation * len(rest)), 1, len(rest) - 1)
        part[of_class[:n_test]], part[rest] = TEST, TRAIN
        part[rest[:n_validation] if fold is None else rest[fold[0] - 1 :: fold[1]]] = VALIDATION
    return part[index]


def complete_split(
    part: NDArray[np.str_],
    star: Sequence[str] | NDArray,
    label: Sequence[str] | NDArray,
    validation: float = 0.1,
    seed: int = 42,
    fold: tuple[int, int] | None = None,
) -> NDArray[np.str_]:
    """Return an official split with what it lacks: validation objects, and no star on two sides.

    Parameters
    ----------
    part : (n,)
        ``train``, ``validation``, ``test`` or nothing, as a survey has it.
    star, label : (n,)
    validation : float
        Fraction of the training stars, drawn if the split has no validation objects.
    seed : int
    fold : (int, int), optional
        See `split_by_star`; the split's own validation objects are then for training.

    Notes
    -----
    Of a star that is in several parts, only the light curves of the last one (test, then validation) are used.
    """
    star, part = np.asarray(star), np.asarray(part).copy()
    part[(part != TEST) & np.isin(star, star[part == TEST])] = ""
    if fold is not None:
        part[part == VALIDATION] = TRAIN
    if not (part == VALIDATION).any():
        known = np.flatnonzero(part == TRAIN)
        part[known] = split_by_star(star[known], np.asarray(label)[known], 0, validation, seed, fold)
    part[(part == TRAIN) & np.isin(star, star[part == VALIDATION])] = ""
    return part


def stars(
    object_id: Sequence[str] | NDArray,
    ra: NDArray | None = None,
    dec: NDArray | None = None,
    within: float = SAME_STAR,
) -> NDArray[np.int64]:
    """Give each star a number; light curves with one id, or with positions that agree, are of the same star.

    Surveys list a star under several ids (overlapping fields, re-observations); split by id alone, its light curves
    would end on both sides.

    Parameters
    ----------
    object_id : (n,)
    ra, dec : (n,), optional
        In degrees; NaN where unknown.
    within : float
        Arcseconds between positions of one star: more than a survey's rounding of positions, less than its neighbours.

    Returns
    -------
    int64 (n,)

    Notes
    -----
    Simulations give their objects the position of a field. One that more than 100 ids share to the last digit tells
    nothing about them and counts as unknown.
    """
    _, index = np.unique(np.asarray(object_id).astype(str), return_inverse=True)
    if ra is None or dec is None or not len(index):
        return index
    ra, dec = _without_fields(index, np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    lon, lat = np.radians(ra[known]), np.radians(dec[known])
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
    pairs = known[cKDTree(xyz).query_pairs(np.radians(within / 3600), output_type="ndarray")]
    links = index[pairs.reshape(-1, 2)]
    size = int(index.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1][index].astype(np.int64)


def _without_fields(index: NDArray, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Return the coordinates (n,) with NaN where a crowd of objects, numbered by ``index``, has the same ones."""
    objects = np.unique(index, return_index=True)[1]
    _, place = np.unique(np.stack([ra, dec]), axis=1, return_inverse=True)
    crowded = np.bincount(place.ravel()[objects], minlength=int(place.max()) + 1)[place.ravel()] > CROWD
    crowded &= np.isfinite(ra) & np.isfinite(dec)
    if crowded.any():
        log.warning("%d light curves have the position of a field, not their own: it is left out", crowded.sum())
    return np.where(crowded, np.nan, ra), np.where(crowded, np.nan, dec)
