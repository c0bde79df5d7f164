"""Files on the Hugging Face hub: downloaded once, then read from the hub's cache (``HF_HOME``) without network.

An address is ``hf://datasets/OWNER/NAME/FILE`` for a file of a data set and ``hf://OWNER/NAME/FILE`` for one of a
model, with ``@REVISION`` after the name for a branch, tag or commit. Needs ``pip install 'goodricke[hub]'``. A mirror
that speaks the hub's protocol is named by ``HF_ENDPOINT``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

SCHEME = "hf://"
KINDS = {"datasets": "dataset", "models": "model", "spaces": "space"}
ALTERNATIVE = "Or copy the file from another machine and give its path"
BESIDE = {".safetensors": ".json"}  # suffix of a file that describes another one: downloaded with it, if there is one


class HubAddress(NamedTuple):
    """What an address names."""

    repository: str  # owner/name
    file: str
    revision: str | None = None
    kind: str = "model"

    def __str__(self) -> str:
        folder = next(name for name, kind in KINDS.items() if kind == self.kind)
        at = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{'' if self.kind == 'model' else f'{folder}/'}{self.repository}{at}/{self.file}"


class HubFile(NamedTuple):
    """A downloaded file, and which one it is."""

    path: Path
    address: HubAddress
    commit: str

    @property
    def sha256(self) -> str:
        """The file's SHA-256, computed from its bytes here."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def is_hub_address(path: object) -> bool:
    """Return whether a path is the address of a file on the hub; ``Path`` leaves one of its slashes."""
    return str(path).startswith(SCHEME[:-1])


def parse_address(text: str) -> HubAddress:
    """Return what ``hf://[datasets/]OWNER/NAME[@REVISION]/FILE`` names.

    Raises
    ------
    ValueError
        If it is written in another way.

    Examples
    --------
    >>> parse_address("hf://datasets/paulg9/astrafier_dataset@v1/test.safetensors")
    HubAddress(repository='paulg9/astrafier_dataset', file='test.safetensors', revision='v1', kind='dataset')
    """
    parts = text.removeprefix(SCHEME[:-1]).lstrip("/").split("/")
    kind = KINDS[parts.pop(0)] if parts[0] in KINDS else "model"
    if len(parts) < 3 or not all(parts):
        raise ValueError(
            f"{text} is no address of a file on the hub. Fix: write hf://datasets/OWNER/NAME/FILE for a file of a data "
            "set, hf://OWNER/NAME/FILE for one of a model"
        )
    name, _, revision = parts[1].partition("@")
    return HubAddress(f"{parts[0]}/{name}", "/".join(parts[2:]), unquote(revision) or None, kind)


def local_path(address: str) -> Path:
    """Return the local copy of a file on the hub, and download it if necessary.

    A file that describes it under the same name (``test.json`` of ``test.safetensors``) comes with it.

    Raises
    ------
    ValueError
        If the address is malformed.
    FileNotFoundError
        See `fetch_file`.
    """
    wanted = parse_address(address)
    found = fetch_file(wanted)
    stem, suffix = os.path.splitext(wanted.file)
    if suffix in BESIDE:
        beside = wanted._replace(file=stem + BESIDE[suffix], revision=found.commit)
        try:
            fetch_file(beside)
        except FileNotFoundError as error:
            if not _is_absent(error.__cause__):
                raise
    return found.path


def fetch_file(address: HubAddress) -> HubFile:
    """Return a file of a repository, from the hub's cache or over the network.

    Raises
    ------
    FileNotFoundError
        If it is not available; the message says whether the package, the network, the repository or the file is
        missing, and what to do.
    """
    hub = client(f"{address} needs huggingface_hub")
    try:
        path = Path(
            hub.hf_hub_download(
                address.repository,
                address.file,
                revision=address.revision,
                repo_type=address.kind,
                endpoint=endpoint(),
            )
        )
    except Exception as error:  # without a network httpx.ConnectError, not an OSError
        why = refusal(error, address.repository) or absence(error, "it", address.repository)
        raise FileNotFoundError(f"{address}: {why}") from error
    parts = path.parts
    return HubFile(path, address, parts[parts.index("snapshots") + 1] if "snapshots" in parts else "")


def fetch_first(repository: str, files: Sequence[str], revision: str | None = None) -> HubFile:
    """Return the first of several files that a model's repository has.

    Raises
    ------
    FileNotFoundError
        If it has none of them, or is not available.
    """
    for file in files:
        try:
            return fetch_file(HubAddress(repository, file, revision))
        except FileNotFoundError as error:
            if not _is_absent(error.__cause__):
                raise
    raise FileNotFoundError(
        f"{repository} on the hub has no {' and no '.join(files)}. Fix: name the file, {SCHEME}{repository}/FILE"
    )


def endpoint() -> str | None:
    """Return the address of the mirror that ``HF_ENDPOINT`` names, None for the hub itself."""
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def client(why: str) -> Any:
    """Return the hub's client.

    Raises
    ------
    FileNotFoundError
        If it isn't installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise FileNotFoundError(f"{why}: pip install 'goodricke[hub]'") from error
    return huggingface_hub


def refusal(error: Exception, name: str) -> str:
    """Return why the hub refused a request, and the fix; empty if it was not reached."""
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return f"{name!r} is no repository's name ({error}). Check the spelling"
    if isinstance(error, errors.GatedRepoError):
        return f"{name} is restricted. Fix: request access on its page, then   hf auth login"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub has no {name}, or not for you. Check the spelling; for a private one   hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name} is on the hub, but not this revision. Fix: leave out the part after @, or look on its page"
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return f"{name} is on the hub, but has no such file. Check the spelling, or look on its page"
    if isinstance(error, errors.HfHubHTTPError):
        return f"the hub refused ({error}). Is the owner you (hf auth whoami), and may the token write (hf auth login)?"
    return ""


def absence(error: BaseException, what: str, name: str, alternative: str = ALTERNATIVE) -> str:
    """Return why something is not available without the hub, and the fix."""
    from huggingface_hub import constants

    where = f"{what} is not in the hub's cache ({constants.HF_HUB_CACHE})"
    if constants.HF_HUB_OFFLINE:
        return f"{where}, and HF_HUB_OFFLINE is set. Fix:   HF_HUB_OFFLINE=0 hf download {name}   {alternative}"
    cause = error.__cause__ or error
    reason = ": ".join([type(cause).__name__, *str(cause).strip().splitlines()[:1]])
    return f"{where}, and the hub can't be reached ({reason}). Try again with network. {alternative}"


def _is_absent(error: BaseException | None) -> bool:
    """Return whether the hub answered that a repository has no such file."""
    from huggingface_hub import errors

    return isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError)
