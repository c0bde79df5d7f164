"""Training, validation and test sets that share no star."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = "train", "validation", "test"
FREE = "free"  # an object that its survey leaves to the split by star
SAME_STAR = 5.0  # arcsec
SAME_PERIOD = 1e-6  # d: catalogues give six decimals
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
    test: float = 0.2,
) -> NDArray[np.str_]:
    """Complete an official split: add validation objects, and separate stars that are in several parts.

    Parameters
    ----------
    part : (n,)
        The survey's ``train``, ``validation``, ``test`` or empty; ``free`` objects of other surveys are split by star.
    star, label : (n,)
    validation : float
        Fraction of the training stars, drawn if the split has no validation objects.
    seed : int
    test : float
        Fraction of the stars of free objects for test.
    fold : (int, int), optional
        See `split_by_star`; the split's own validation objects are then for training.

    Notes
    -----
    Of a star in several parts, only the light curves in test, else validation, are used.
    """
    star, label, part = np.asarray(star), np.asarray(label), np.asarray(part).copy()
    free = np.flatnonzero(part == FREE)
    if len(free):
        part[free] = split_by_star(star[free], label[free], test, validation, seed, fold)
    part[(part != TEST) & np.isin(star, star[part == TEST])] = ""
    if fold is not None and not len(free):
        part[part == VALIDATION] = TRAIN
    if not (part == VALIDATION).any():
        training = np.flatnonzero(part == TRAIN)
        part[training] = split_by_star(star[training], label[training], 0, validation, seed, fold)
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
    unknown, and so does 0, 0.
    """
    _, index = np.unique(np.asarray(object_id).astype(str), return_inverse=True)
    if ra is None or dec is None or not len(index):
        return index
    ra, dec = _drop_field_positions(index, np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    from scipy.spatial import cKDTree

    located = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    lon, lat = np.radians(ra[located]), np.radians(dec[located])
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
    pairs = located[cKDTree(xyz).query_pairs(np.radians(within / 3600), output_type="ndarray")]
    return join_stars(index, pairs)


def join_stars(star: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return new numbers of stars (n,), of which those of each pair of light curves (p, 2) are one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = star[pairs.reshape(-1, 2)]
    size = int(star.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1][star].astype(np.int64)


def pairs_of_equal_period(survey: NDArray[np.int64], period: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return pairs (p, 2) of light curves of different surveys with the same catalogue period.

    Where surveys give neither positions nor common ids this is what shows that they observed the same star.

    Parameters
    ----------
    survey : (n,)
        Number of the survey.
    period : (n,)
        Of the catalogue [d], NaN where unknown; equal within `SAME_PERIOD`.
    """
    from scipy.spatial import cKDTree

    rows = np.flatnonzero(np.isfinite(period))
    pairs = rows[cKDTree(period[rows, None]).query_pairs(SAME_PERIOD, output_type="ndarray").reshape(-1, 2)]
    return pairs[survey[pairs[:, 0]] != survey[pairs[:, 1]]]


def strata(levels: Sequence[Sequence[str] | NDArray], star: NDArray[np.int64], fewest: int = 10) -> NDArray[np.str_]:
    """Return the stratum (n,) of each light curve for `split_by_star`: a fine group if it has enough stars.

    Parameters
    ----------
    levels : list of (n,)
        Names of groups, from fine to coarse. The light curves of a star have the first one's.
    star : (n,)
    fewest : int
        Stars of a group. What is in too small groups at all levels joins the largest stratum.
    """
    first, index = np.unique(star, return_index=True, return_inverse=True)[1:]
    names = [np.asarray(level).astype(str)[first] for level in levels]
    result = np.full(len(first), "", dtype=object)
    for depth, level in enumerate(names):
        free = np.flatnonzero(result == "")
        groups, group, count = np.unique(level[free], return_inverse=True, return_counts=True)
        enough = count[group] >= fewest
        result[free[enough]] = [f"{depth}: {name}" for name in groups[group[enough]]]
    named, count = np.unique(result[result != ""].astype(str), return_counts=True)
    result[result == ""] = named[count.argmax()] if len(named) else "all"
    return result[index].astype(str)


def _drop_field_positions(index: NDArray, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Return coordinates (n,), NaN at 0, 0 and where more than `CROWD` objects, numbered by ``index``, share them."""
    nowhere = (ra == 0) & (dec == 0)
    ra, dec = np.where(nowhere, np.nan, ra), np.where(nowhere, np.nan, dec)
    objects = np.unique(index, return_index=True)[1]
    _, place = np.unique(np.stack([ra, dec]), axis=1, return_inverse=True)
    crowded = np.bincount(place.ravel()[objects], minlength=int(place.max()) + 1)[place.ravel()] > CROWD
    crowded &= np.isfinite(ra) & np.isfinite(dec)
    if crowded.any():
        log.warning(
            "%d light curves have the position of a field instead of their own, which is ignored", crowded.sum()
        )
    return np.where(crowded, np.nan, ra), np.where(crowded, np.nan, dec)
