"""Models by name, without loading PyTorch: those shipped with the package, and those on the Hugging Face hub.

A repository on the hub holds the files of a model's folder. Fetched models stay in the hub's cache (``HF_HOME``) and
load from there without network. Needs ``pip install 'goodricke[hub]'``.
"""

from __future__ import annotations

from pathlib import Path

from goodricke.data.hub import (
    SCHEME,
    HubFile,
    absence,
    client,
    endpoint,
    fetch_file,
    fetch_first,
    is_hub_address,
    parse_address,
    refusal,
)

SHIPPED = Path(__file__).parent / "shipped"
FILES = ("config.json", "model.safetensors", "calibration.json", "calibration.safetensors", "golden.npz", "README.md")
ALTERNATIVE = "Or copy the model's folder from another machine and give its path"


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def completions(incomplete: str) -> list[str]:
    """Return the shipped models whose names begin with ``incomplete``; without one, shells offer files and folders."""
    return [name for name in shipped_models() if name.startswith(incomplete)]


def fetch(name: str) -> Path:
    """Return the folder of a model on the hub, from the hub's cache or over the network.

    Parameters
    ----------
    name : str
        ``owner/name``, or ``owner/name@revision`` for a branch, tag or commit.

    Raises
    ------
    FileNotFoundError
        If it is not available; the message says whether the package, the network, the repository or the model in it
        is missing.
    """
    hub = client(f"no folder {name!r}; as a hub id it needs huggingface_hub")
    repository, _, revision = name.partition("@")
    options = {"revision": revision or None, "allow_patterns": list(FILES), "endpoint": endpoint()}
    try:
        folder = Path(hub.snapshot_download(repository, **options))
    except (OSError, ValueError) as error:  # base classes of all errors of the hub's client
        why = refusal(error, repository) or absence(error, repository, repository, ALTERNATIVE)
        raise FileNotFoundError(f"no folder {name!r}, and as a hub id: {why}") from error
    if not (folder / FILES[0]).exists():
        raise FileNotFoundError(
            f"{repository} on the hub has no {FILES[0]}: it is no goodricke model, or its upload was interrupted. "
            f"Fix: the owner repeats   goodricke models push FOLDER {repository}   If it holds the published ASTRAFier "
            f"checkpoint:   goodricke models import {name}"
        )
    return folder


CHECKPOINTS = ("model.ckpt", "model.safetensors")  # files that may hold a published network, the usual first


def is_hub_name(name: str) -> bool:
    """Return whether a name is ``owner/name``, with or without ``@revision``, or an address ``hf://...``, no path."""
    plain = name.count("/") == 1 and all(name.split("/")) and not name.startswith((".", "/", "~"))
    return is_hub_address(name) or (plain and not name.endswith((".ckpt", ".safetensors", ".pt", ".pth")))


def fetch_checkpoint(name: str) -> HubFile:
    """Return the published checkpoint in a repository on the hub, from the hub's cache or over the network.

    Parameters
    ----------
    name : str
        ``owner/name``, ``owner/name@revision``, or ``hf://owner/name/file``.

    Raises
    ------
    ValueError
        If the address is malformed.
    FileNotFoundError
        If it is not available; the message says why, and what to do.
    """
    if is_hub_address(name) and name.removeprefix(SCHEME).count("/") > 1:
        return fetch_file(parse_address(name))
    repository, _, revision = name.removeprefix(SCHEME).partition("@")
    return fetch_first(repository, CHECKPOINTS, revision or None)


def push(folder: Path, name: str, private: bool = False) -> str:
    """Upload the files of a model's folder to a repository on the hub, which is created if necessary.

    Parameters
    ----------
    folder : Path
        Folder of a valid model; see `goodricke.models.bundle.find_model`.
    name : str
        ``owner/name``. Log in by ``hf auth login`` or the variable ``HF_TOKEN``.
    private : bool
        Whether only its owner can see a new repository.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    ValueError
        If the name is not of the form ``owner/name``.
    OSError
        If the hub refuses or can't be reached.
    """
    hub = client("a hub needs huggingface_hub")
    if name.count("/") != 1 or not all(name.split("/")):
        raise ValueError(f"{name!r} is no name for a repository. Fix: write owner/name, the owner being you or a group")
    api = hub.HfApi(library_name="goodricke", endpoint=endpoint())
    try:
        api.create_repo(name, private=private, exist_ok=True)
        options = {"allow_patterns": list(FILES), "commit_message": f"goodricke model {folder.name}"}
        commit = api.upload_folder(repo_id=name, folder_path=folder, **options)
    except Exception as error:  # without a network httpx.ConnectError, not an OSError
        why = refusal(error, name) or f"it can't be reached ({error}). Try again with network, HF_HUB_OFFLINE unset"
        raise OSError(f"{folder} was not uploaded: {why}") from error
    return str(getattr(commit, "commit_url", commit))
