"""The taxonomy of variable stars: classes (leaves) and the groups (nodes) above them, as a tree.

A survey's label is a set of leaves: "contact and semi-detached" means EW or EB, "LPV" Mira or semiregular. A network
gives each leaf a probability; that of a node is the sum over its leaves, and an answer is the deepest node or leaf
whose probability is high enough. `Taxonomy.shipped` is read from ``taxonomy.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from goodricke.data.config_errors import faults

UNCERTAIN = "uncertain"  # what the root is called as an answer: no class is probable enough
EITHER = re.compile(r"[|+]")  # "EA|EB": either type; "DSCT+GDOR": both, of which either answer is right


def plain_name(name: str) -> str:
    """Return a name of a class without case, spaces and punctuation.

    Examples
    --------
    >>> plain_name("delta Sct."), plain_name("DELTA_SCT")
    ('deltasct', 'deltasct')
    """
    return re.sub(r"[\W_]+", "", name.casefold())


class Leaf(BaseModel):
    """A class of variable star."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    period: Literal["orbital", "pulsation", "rotation", "none"] = Field("none", description="what the period measures")
    shortest: float | None = Field(None, gt=0, description="plausible period [d]")
    longest: float | None = Field(None, gt=0, description="plausible period [d]")
    vsx: tuple[str, ...] = Field((), description="types of the Variable Star Index that mean this class alone")


class Taxonomy(BaseModel):
    """Leaves and nodes of a tree, in order: L leaves are the classes of a network, K nodes the groups above them.

    Examples
    --------
    >>> tree = Taxonomy.shipped()
    >>> sorted(tree.parse("EA|EB")), sorted(tree.parse("RR Lyrae")), sorted(tree.parse("EW/RS"))
    (['EA', 'EB'], ['RRAB', 'RRC', 'RRD'], ['EW'])
    >>> binaries = tree.restricted(["EW", "EB", "ROT"])
    >>> answer, p = binaries.deepest([[0.55, 0.42, 0.03], [0.9, 0.1, 0.0]])
    >>> answer.tolist(), p.round(2).tolist()
    (['ECLIPSING', 'EW'], [0.97, 0.9])
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    leaves: dict[str, Leaf]
    nodes: dict[str, tuple[str, ...]] = Field({}, description="children of each node, from the root down")
    titles: dict[str, str] = Field({}, description="of nodes")
    types: dict[str, tuple[str, ...]] = Field({}, description="leaves of types that name several leaves or a node")

    @model_validator(mode="after")
    def _check_tree(self) -> Taxonomy:
        """Refuse anything but one tree."""
        parents = Counter(child for children in self.nodes.values() for child in children)
        unknown = sorted(set(parents) - set(self.leaves) - set(self.nodes))
        if unknown:
            raise ValueError(f"nodes name children that are neither leaf nor node: {', '.join(unknown)}")
        shared = sorted(name for name, n in parents.items() if n > 1)
        if shared or set(self.leaves) & set(self.nodes):
            raise ValueError(f"in several places of the tree: {shared or sorted(set(self.leaves) & set(self.nodes))}")
        roots = [name for name in (*self.nodes, *self.leaves) if name not in parents]
        if not self.leaves or len(roots) != 1:
            raise ValueError(f"a taxonomy has one root and at least one leaf; these have no parent: {roots}")
        if min(map(len, self.nodes.values()), default=2) < 2 or len(self._below(roots[0])) < len(self.nodes):
            raise ValueError("each node has at least two children, and the root is above all of them")
        unknown = sorted({leaf for leaves in self.types.values() for leaf in leaves} - set(self.leaves))
        if unknown:
            raise ValueError(f"types name leaves that don't exist: {', '.join(unknown)}")
        return self

    @classmethod
    def shipped(cls) -> Taxonomy:
        """Return the taxonomy of ``taxonomy.toml``."""
        return _shipped()

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Taxonomy:
        """Return the taxonomy of a TOML file: ``[leaves.X]``, ``[nodes.X]`` (title, children, types), ``[types]``."""
        nodes: Mapping[str, Any] = content.get("nodes", {})
        tree = cls(
            leaves=content["leaves"],
            nodes={name: tuple(node["children"]) for name, node in nodes.items()},
            titles={name: node["title"] for name, node in nodes.items() if "title" in node},
        )
        types = {kind: (name,) for name, node in nodes.items() for kind in node.get("types", ())}
        types |= {kind: tuple(names) for kind, names in content.get("types", {}).items()}
        expanded = {kind: tree._ordered(tree._leaves_of(name) for name in names) for kind, names in types.items()}
        return cls(**(dict(tree) | {"types": expanded}))

    def restricted(self, leaves: Sequence[str]) -> Taxonomy:
        """Return the taxonomy of a model with these leaves, in this order.

        Nodes without a leaf vanish, and so do nodes with the same leaves as a descendant.

        Raises
        ------
        ValueError
            If a name is no leaf.
        """
        unknown = [name for name in leaves if name not in self.leaves]
        if unknown or not leaves:
            raise ValueError(f"not leaves of the taxonomy: {', '.join(unknown) or 'none named'}")
        keep = set(leaves)
        children = {name: self._remaining_children(name, keep) for name in self.nodes}
        alive = {name for name, remaining in children.items() if len(remaining) > 1}
        types = {kind: tuple(x for x in leaves if x in members) for kind, members in self.types.items()}
        return Taxonomy(
            leaves={name: self.leaves[name] for name in leaves},
            nodes={name: children[name] for name in self.nodes if name in alive},
            titles={name: title for name, title in self.titles.items() if name in alive},
            types={kind: members for kind, members in types.items() if members},
        )

    # ---- structure --------------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Nodes from the root down, then leaves (K + L)."""
        return (*self.nodes, *self.leaves)

    @cached_property
    def matrix(self) -> NDArray[np.bool_]:
        """Whether a node (K) has a leaf (L) below it."""
        rows = [self.mask(self._leaves_of(name)) for name in self.nodes]
        return np.stack(rows) if rows else np.zeros((0, len(self.leaves)), bool)

    @property
    def root(self) -> str:
        """The node above all others, or the only leaf."""
        return self.names[0] if not self.nodes else max(self.nodes, key=lambda name: len(self._leaves_of(name)))

    def members(self, name: str) -> tuple[int, ...]:
        """Return the indices of the leaves of a node, or of a leaf.

        Raises
        ------
        ValueError
            If there is no such name.
        """
        return tuple(np.flatnonzero(self.mask(self._leaves_of(name))).tolist())

    def mask(self, leaves: Iterable[str]) -> NDArray[np.bool_]:
        """Return whether each leaf (L,) is one of these."""
        chosen = set(leaves)
        return np.array([leaf in chosen for leaf in self.leaves], bool)

    def title(self, name: str) -> str:
        """Return a leaf or node in words."""
        return self.leaves[name].title if name in self.leaves else self.titles.get(name, name)

    # ---- answers ----------------------------------------------------------------------------------------------------

    def node_probabilities(self, p: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each node (n, K) from those of the leaves (n, L)."""
        return np.asarray(p, np.float64) @ self.matrix.T

    def deepest(self, p: ArrayLike, threshold: float = 0.7) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
        """Return the deepest node or leaf with a probability of at least the threshold.

        Parameters
        ----------
        p : (n, L)
            Probabilities of leaves.
        threshold : float
            Up to 0.5 several branches may reach it; the one with the fewest leaves is then returned, and of equal
            ones the most probable.

        Returns
        -------
        names : object (n,)
            The root where nothing else reaches the threshold.
        probability : (n,)
        """
        best, probability = deepest_group(
            np.concatenate([self.matrix, np.eye(len(self.leaves), dtype=bool)]), p, threshold
        )
        return np.array(self.names, object)[best], probability

    def answers(self, p: ArrayLike, threshold: float) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
        """Return the names of `deepest` as an answer shows them, `UNCERTAIN` for the root, and their probabilities."""
        name, probability = self.deepest(p, threshold)
        return np.where(name == self.root, UNCERTAIN, name) if self.nodes else name, probability

    def set_name(self, mask: NDArray[np.bool_] | Sequence[bool]) -> str | None:
        """Return the node or leaf that has just the leaves of a set (L,), None if there is none."""
        members = tuple(np.flatnonzero(np.asarray(mask, bool)).tolist())
        return self._names_by_members.get(members)

    def contradicts(self, name: str | Sequence[str] | NDArray, period: ArrayLike) -> NDArray[np.bool_]:
        """Return whether class and period exclude each other.

        Parameters
        ----------
        name : str or (n,)
            Leaf or node; a node is contradicted by a period that none of its leaves can have.
        period : (n,)
            [d], in the class's convention; NaN where there is none, which contradicts nothing.

        Raises
        ------
        ValueError
            If a name is no leaf or node.
        """
        period = np.asarray(period, np.float64)
        names, index = np.unique(
            np.broadcast_to(np.asarray(name, object), period.shape).astype(str), return_inverse=True
        )
        result = np.zeros(period.shape, bool)
        for k, one in enumerate(names.tolist()):
            rows = index.reshape(period.shape) == k
            result[rows] = np.logical_and.reduce([_outside(leaf, period[rows]) for leaf in self._leaf_models(one)])
        return result

    # ---- labels -----------------------------------------------------------------------------------------------------

    def parse(self, label: str | Sequence[str]) -> frozenset[str]:
        """Return the leaves that a label allows.

        Parameters
        ----------
        label : str or list of str
            A leaf, a node, a VSX type, or several of these, any of which may be true: as a list or joined by ``|`` or
            ``+``. Of types joined by ``/`` the first counts, unless the whole is a type: "EW/RS" is a contact binary
            with spots. Case and punctuation don't matter, nor does a colon (uncertain).

        Raises
        ------
        ValueError
            If a name is not understood; its near misses are named.
        """
        texts = [label] if isinstance(label, str) else list(label)
        found = [
            self._parse_one(part) for text in texts for part in ([text] if self._lookup(text) else EITHER.split(text))
        ]
        if not found:
            raise ValueError("an empty label: write a leaf, a node or a VSX type")
        return frozenset().union(*found)

    def _parse_one(self, text: str) -> frozenset[str]:
        leaves = self._lookup(text) or self._lookup(text.split("/")[0])
        if leaves is None:
            near = get_close_matches(text.upper(), [*self.names, *self._vsx_types], 3)
            hint = f"; similar: {', '.join(near)}" if near else ""
            raise ValueError(f"{text!r} is no leaf, node or VSX type of the taxonomy{hint}")
        return leaves

    def _lookup(self, text: str) -> frozenset[str] | None:
        return self._leaves_by_plain_name.get(plain_name(text))

    @cached_property
    def _vsx_types(self) -> tuple[str, ...]:
        return (*(kind for leaf in self.leaves.values() for kind in leaf.vsx), *self.types)

    @cached_property
    def _leaves_by_plain_name(self) -> dict[str, frozenset[str]]:
        """The leaves of each name; names of leaves and nodes come before VSX types."""
        names = {plain_name(kind): frozenset({name}) for name, leaf in self.leaves.items() for kind in leaf.vsx}
        names |= {plain_name(kind): frozenset(leaves) for kind, leaves in self.types.items()}
        return names | {plain_name(name): self._leaves_of(name) for name in (*self.nodes, *self.leaves)}

    @cached_property
    def _names_by_members(self) -> dict[tuple[int, ...], str]:
        return {self.members(name): name for name in self.names}

    def _leaves_of(self, name: str) -> frozenset[str]:
        name = self.root if name == UNCERTAIN else name
        self._refuse_unknown(name)
        if name in self.leaves:
            return frozenset({name})
        return frozenset().union(*(self._leaves_of(child) for child in self.nodes[name]))

    def _below(self, name: str) -> list[str]:
        """Return a node and the nodes below it."""
        return [name, *(x for child in self.nodes[name] for x in self._below(child))] if name in self.nodes else []

    def _leaf_models(self, name: str) -> list[Leaf]:
        return [leaf for key, leaf in self.leaves.items() if key in self._leaves_of(name)]

    def _ordered(self, parts: Iterable[frozenset[str]]) -> tuple[str, ...]:
        chosen = frozenset().union(*parts)
        return tuple(leaf for leaf in self.leaves if leaf in chosen)

    def _refuse_unknown(self, name: str) -> None:
        if name not in self.leaves and name not in self.nodes:
            near = get_close_matches(name, self.names, 3)
            raise ValueError(
                f"{name!r} is no leaf or node of the taxonomy{'; similar: ' + ', '.join(near) if near else ''}"
            )

    def _remaining_children(self, name: str, keep: set[str]) -> tuple[str, ...]:
        """Return the children of a node that remain, those with a single child replaced by it."""
        return tuple(x for child in self.nodes[name] if (x := self._remaining(child, keep)) is not None)

    def _remaining(self, name: str, keep: set[str]) -> str | None:
        """Return what remains of a name: itself, its only remaining descendant of the same leaves, or None."""
        if name in self.leaves:
            return name if name in keep else None
        children = self._remaining_children(name, keep)
        return None if not children else children[0] if len(children) == 1 else name


def deepest_group(
    members: NDArray[np.bool_], p: ArrayLike, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the smallest group of classes with a probability of at least the threshold; see `Taxonomy.deepest`.

    Parameters
    ----------
    members : bool (G, L)
        The classes of each group, among them one with all, which is the answer where nothing else reaches it.
    p : (n, L)
    threshold : float

    Returns
    -------
    index : int64 (n,)
    probability : (n,)
    """
    probability = np.asarray(p, np.float64) @ members.T  # (n, G)
    size = members.sum(1)
    reached = probability >= threshold
    reached[:, size.argmax()] = True  # whatever the rounding of a sum
    rank = np.where(reached, probability.clip(0, 1) - 2.0 * size, -np.inf)  # fewest classes, then most probable
    best = rank.argmax(1)
    return best, probability[np.arange(len(probability)), best]


def _outside(leaf: Leaf, period: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether periods [d] are outside the limits of a leaf; NaN is not."""
    if leaf.period == "none":
        return np.zeros(period.shape, bool)
    shortest, longest = leaf.shortest or 0.0, leaf.longest or np.inf
    return (period < shortest) | (period > longest)


def read_taxonomy(path: str | Path) -> Taxonomy:
    """Read a taxonomy from a TOML file as the package's ``taxonomy.toml``.

    Raises
    ------
    ValueError
        If the file is none.
    """
    try:
        return Taxonomy.from_content(tomllib.loads(Path(path).read_text("utf-8")))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: no taxonomy ({error}). Fix: write [leaves.NAME] and [nodes.NAME] children"
        ) from error
    except ValidationError as error:
        raise ValueError(f"{path}: no taxonomy: {'; '.join(faults(error, Leaf, Taxonomy))}") from error


@cache
def _shipped() -> Taxonomy:
    return Taxonomy.from_content(tomllib.loads(files("goodricke.data").joinpath("taxonomy.toml").read_text("utf-8")))
