"""Names of classes: labels matched with the classes of a model, and the renamings of command options.

A label matches the class of exactly its name, else the only class whose name is equal up to case, spaces and
punctuation: ``rr lyrae``, ``RR-Lyrae`` and ``RRLYRAE`` are one name. If the names of two classes are equal in this
sense, only the exact name matches. Where the classes are leaves of the taxonomy, so does a type of the Variable Star
Index that means one of them alone: ``RRAB/BL``, ``DCEPS``.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data.taxonomy import Taxonomy, plain_name

log = logging.getLogger("goodricke")


class ClassMatch(NamedTuple):
    """Labels matched with classes."""

    class_index: NDArray[np.int64]  # (n,) -1 where a label is missing or matches no class
    unmatched: dict[str, int]  # number of objects by label without a class, the most frequent first


def taxonomy_of(classes: Sequence[str]) -> Taxonomy | None:
    """Return the package's taxonomy of classes that are all leaves of it, None if they aren't."""
    tree = Taxonomy.shipped()
    return tree.restricted(classes) if classes and set(classes) <= set(tree.leaves) else None


def match_classes(
    labels: Iterable[Any], classes: Sequence[str], renaming: Mapping[str, str] | None = None
) -> ClassMatch:
    """Match labels with classes; a warning lists the labels spelt differently from their class.

    Parameters
    ----------
    labels : (n,) of str
        Missing ones are None or NaN.
    classes : sequence of str
    renaming : mapping, optional
        Classes by label; see `parse_renaming`. A renamed label is matched under its new name.
    """
    counts, index = Counter[str](), list[int]()
    names = [None if label is None or label != label else str(label) for label in labels]
    places = {name: _class_index(name, classes, renaming or {}) for name in set(names) if name is not None}
    for name in names:
        index.append(-1 if name is None else places[name])
        if name is not None and places[name] < 0:
            counts[name] += 1
    _warn_about_spelling(places, classes, renaming or {})
    return ClassMatch(np.array(index, np.int64), dict(counts.most_common()))


def spell_as_classes(
    labels: Iterable[Any], classes: Sequence[str], renaming: Mapping[str, str] | None = None
) -> NDArray[np.object_]:
    """Return labels (n,) in the spelling of their classes (see `match_classes`), unmatched ones unchanged."""
    labels = np.array(list(labels), dtype=object)
    match = match_classes(labels, classes, renaming)
    names = np.array([*classes, ""], dtype=object)
    return np.where(match.class_index >= 0, names[match.class_index], labels)


def parse_renaming(rename: Iterable[str] = (), merge: Iterable[str] = ()) -> dict[str, str]:
    """Return classes by label from the options ``--rename`` and ``--merge``.

    Parameters
    ----------
    rename : iterable of str
        ``LABEL=CLASS`` each.
    merge : iterable of str
        ``CLASS=label,label`` each.

    Raises
    ------
    ValueError
        If an option has another form.

    Examples
    --------
    >>> parse_renaming(["Rotational=ROT"], ["EC=W UMa,EW"])
    {'Rotational': 'ROT', 'W UMa': 'EC', 'EW': 'EC'}
    """
    renaming = {}
    for text in rename:
        label, equals, name = (part.strip() for part in text.rpartition("="))
        if not (equals and label and name):
            raise ValueError(f"--rename {text}: write it as LABEL=CLASS, Rotational=ROT")
        renaming[label] = name
    for text in merge:
        name, equals, labels = (part.strip() for part in text.partition("="))
        if not (equals and name and labels):
            raise ValueError(f'--merge {text}: write it as "CLASS=label,label"')
        renaming |= {label.strip(): name for label in labels.split(",")}
    return renaming


def _class_index(label: str, classes: Sequence[str], renaming: Mapping[str, str]) -> int:
    """Return the index of a label's class, -1 if there is none."""
    name = renaming.get(label, label)
    if name == label:
        old = _index_of_name(label, list(renaming))
        name = label if old < 0 else list(renaming.values())[old]
    place = _index_of_name(name, classes)
    return place if place >= 0 else _index_of_type(name, classes)


def _index_of_type(name: str, classes: Sequence[str]) -> int:
    """Return the index of the only class that a type of the Variable Star Index means, -1 if it means no or several."""
    if (tree := taxonomy_of(classes)) is None:
        return -1
    try:
        leaves = Taxonomy.shipped().parse(name)
    except ValueError:
        return -1
    return list(tree.leaves).index(min(leaves)) if len(leaves) == 1 and leaves <= set(tree.leaves) else -1


def _index_of_name(name: str, names: Sequence[str]) -> int:
    """Return the index of the name that matches, -1 if none or several do."""
    if name in names:
        return list(names).index(name)
    plain = plain_name(name)
    same = [k for k, other in enumerate(names) if plain and plain_name(other) == plain]
    return same[0] if len(same) == 1 else -1


def _warn_about_spelling(places: Mapping[str, int], classes: Sequence[str], renaming: Mapping[str, str]) -> None:
    respelt = [
        f"{label} = {classes[place]}"
        for label, place in sorted(places.items())
        if place >= 0 and classes[place] not in (label, renaming.get(label))
    ]
    if respelt:
        log.warning("labels matched with classes without regard to case and punctuation: %s", ", ".join(respelt))
