"""Training, validation and test sets that share no star."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SAME_STAR = 5.0  # arcsec
CROWD = 100  # ids at exactly one position above which it is that of a field

log = logging.getLogger(__name__)


def split_by_star(
    star: Sequence[str] | NDArray,
    label: Sequence[str] | NDArray,
    test: float = 0.2,
    validation: float = 0.1,
    seed: int = 42,
    fold: tuple[int, int] | None = None,
) -> NDArray[np.str_]:
    """Assign every light curve to ``train``, ``validation`` or ``test``, those of one star to the same part.

    Parameters
    ----------
    star : (n,)
        Star of each light curve; see `stars`.
    label : (n,)
        Stratified on each star's most frequent label.
    test : float
        Fraction of the stars for test (section 5: 0.2), at least one of each class unless it is 0.
    validation : float
        Fraction of the remaining stars (section 5: 0.1).
    seed : int
    fold : (int, int), optional
        (k, n): the remaining stars are divided into n folds, and the k-th, counted from 1, is for validation.

    Raises
    ------
    ValueError
        If a class has fewer stars than sets: three, or two without a test set.
    """
    names, index = np.unique(np.asarray(star).astype(str), return_inverse=True)
    classes, code = np.unique(np.asarray(label).astype(str), return_inverse=True)
    votes = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(votes, (index, code), 1)
    main = votes.argmax(1)  # (stars,)
    members = np.bincount(main, minlength=len(classes))
    least = 3 if test else 2
    if members.min() < least:
        small = ", ".join(f"{classes[c]} ({members[c]})" for c in np.flatnonzero(members < least))
        raise ValueError(
            f"too few stars for a split in {'three' if test else 'two'}: {small}. Fix: merge or drop these classes "
            "([data] merge, drop)"
        )
    rng = np.random.default_rng(seed)
    part = np.empty(len(names), dtype="<U10")
    for c in range(len(classes)):
        of_class = rng.permutation(np.flatnonzero(main == c))
        n_test = (
            np.clip(round(test * len(of_class)), 1, len(of_class) - 2) if test else 0
        )  # at least one star for each other part
        remaining = of_class[n_test:]
        n_validation = np.clip(round(validation * len(remaining)), 1, len(remaining) - 1)
        part[of_class[:n_test]], part[remaining] = TEST, TRAIN
        part[remaining[:n_validation] if fold is None else remaining[fold[0] - 1 :: fold[1]]] = VALIDATION
    return part[index]


def complete_split(
    part: NDArray[np.str_],
    star: Sequence[str] | NDArray,
    label: Sequence[str] | NDArray,
    validation: float = 0.1,
    seed: int = 42,
    fold: tuple[int, int] | None = None,
) -> NDArray[np.str_]:
    """Complete an official split: add validation objects, and separate stars that are in several parts.

    Parameters
    ----------
    part : (n,)
        The survey's ``train``, ``validation``, ``test`` or empty.
    star, label : (n,)
    validation : float
        Fraction of the training stars, drawn if the split has no validation objects.
    seed : int
    fold : (int, int), optional
        See `split_by_star`; the split's own validation objects are then for training.

    Notes
    -----
    Of a star in several parts, only the light curves in test, else validation, are used.
    """
    star, part = np.asarray(star), np.asarray(part).copy()
    part[(part != TEST) & np.isin(star, star[part == TEST])] = ""
    if fold is not None:
        part[part == VALIDATION] = TRAIN
    if not (part == VALIDATION).any():
        training = np.flatnonzero(part == TRAIN)
        part[training] = split_by_star(star[training], np.asarray(label)[training], 0, validation, seed, fold)
    part[(part == TRAIN) & np.isin(star, star[part == VALIDATION])] = ""
    return part


def stars(
    object_id: Sequence[str] | NDArray,
    ra: NDArray | None = None,
    dec: NDArray | None = None,
    within: float = SAME_STAR,
) -> NDArray[np.int64]:
    """Return the number of each light curve's star: equal for equal ids, and for positions that agree.

    Surveys list a star under several ids (overlapping fields, re-observations); a split by id would put its light
    curves into several parts.

    Parameters
    ----------
    object_id : (n,)
    ra, dec : (n,), optional
        In degrees; NaN where unknown.
    within : float
        Largest distance between positions of one star [arcsec]: more than rounding, less than the next neighbour.

    Returns
    -------
    int64 (n,)

    Notes
    -----
    Simulations give their objects the position of a field. A position that more than 100 ids share exactly counts as
    unknown.
    """
    _, index = np.unique(np.asarray(object_id).astype(str), return_inverse=True)
    if ra is None or dec is None or not len(index):
        return index
    ra, dec = _drop_field_positions(index, np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    located = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    lon, lat = np.radians(ra[located]), np.radians(dec[located])
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
    pairs = located[cKDTree(xyz).query_pairs(np.radians(within / 3600), output_type="ndarray")]
    links = index[pairs.reshape(-1, 2)]
    size = int(index.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1][index].astype(np.int64)


def _drop_field_positions(index: NDArray, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Return coordinates (n,), NaN where more than `CROWD` objects, numbered by ``index``, share them exactly."""
    objects = np.unique(index, return_index=True)[1]
    _, place = np.unique(np.stack([ra, dec]), axis=1, return_inverse=True)
    crowded = np.bincount(place.ravel()[objects], minlength=int(place.max()) + 1)[place.ravel()] > CROWD
    crowded &= np.isfinite(ra) & np.isfinite(dec)
    if crowded.any():
        log.warning(
            "%d light curves have the position of a field instead of their own, which is ignored", crowded.sum()
        )
    return np.where(crowded, np.nan, ra), np.where(crowded, np.nan, dec)
