"""Which models there are and what can be said of them by name, without loading PyTorch.

Models on the Hugging Face hub: a repository there holds the files of a model's folder, and nothing else is asked.

What was fetched once is kept in the hub's cache (``HF_HOME``) and found there without network. Needs
``pip install 'goodricke[hub]'``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parent / "shipped"
FILES = ("config.json", "model.safetensors", "calibration.json", "calibration.safetensors", "golden.npz", "README.md")


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def completions(incomplete: str) -> list[str]:
    """Return the shipped models whose names begin like this; where there are none, shells offer files and folders."""
    return [name for name in shipped_models() if name.startswith(incomplete)]


# ---- Models on the Hugging Face hub: a repository there holds the files of a model's folder, and nothing  ------------


HELP = "Or take the model's folder from a machine that has it, and give its path"


def fetch(name: str) -> Path:
    """Return the folder of a model that a hub has, from the hub's cache or over the network.

    Parameters
    ----------
    name : str
        ``owner/name``, or ``owner/name@revision`` for a branch, tag or commit.

    Raises
    ------
    FileNotFoundError
        If it can't be had; says whether the package, the network, the repository or the model in it is missing.
    """
    hub = _hub(f"no folder {name!r}; as a hub id it needs huggingface_hub")
    repository, _, revision = name.partition("@")
    try:
        found = Path(hub.snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:  # all that the hub's client raises are of these
        why = _refusal(error, repository) or _absence(error, repository)
        raise FileNotFoundError(f"no folder {name!r}, and as a hub id: {why}") from error
    if not (found / FILES[0]).exists():
        raise FileNotFoundError(
            f"{repository} on the hub has no {FILES[0]}: it is no goodricke model, or an upload that broke off. "
            f"Whoever owns it repeats   goodricke models push FOLDER {repository}"
        )
    return found


def push(folder: Path, name: str, private: bool = False) -> str:
    """Put the files of a model's folder into a repository of a hub, which is made if there is none.

    Parameters
    ----------
    folder : Path
        Of a model that loads; see `goodricke.models.bundle.find_model`.
    name : str
        ``owner/name``. You are who ``hf auth login`` or the variable ``HF_TOKEN`` says.
    private : bool
        Whether a new repository is seen by its owner alone.

    Returns
    -------
    str
        The address of the commit.

    Raises
    ------
    ValueError
        If the name is none for a repository.
    OSError
        If the hub refuses, or can't be reached.
    """
    hub = _hub("a hub needs huggingface_hub")
    if name.count("/") != 1 or not all(name.split("/")):
        raise ValueError(f"{name!r} is no name for a repository: write owner/name, the owner being you or a group")
    api = hub.HfApi(library_name="goodricke")
    try:
        api.create_repo(name, private=private, exist_ok=True)
        told = {"allow_patterns": list(FILES), "commit_message": f"goodricke model {folder.name}"}
        done = api.upload_folder(repo_id=name, folder_path=folder, **told)
    except Exception as error:  # without a network an httpx.ConnectError, which is no OSError
        why = _refusal(error, name) or f"it can't be reached ({error}). Try again with network, HF_HUB_OFFLINE unset"
        raise OSError(f"{folder} was not put on the hub: {why}") from error
    return str(getattr(done, "commit_url", done))


def _hub(why: str) -> Any:
    """Return the hub's client."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise FileNotFoundError(f"{why}: pip install 'goodricke[hub]'") from error
    return huggingface_hub


def _refusal(error: Exception, name: str) -> str:
    """Return what the hub has against a request, and the fix; nothing if it wasn't asked."""
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return f"{name!r} is no repository's name ({error}). Check the spelling"
    if isinstance(error, errors.GatedRepoError):
        return f"{name} is open to those alone who have asked: ask on its page, then   hf auth login"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub has no {name}, or not for you. Check the spelling; for a private one   hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name} is on the hub, but not this revision. Leave out what stands after @, or look on its page"
    if isinstance(error, errors.HfHubHTTPError):
        return f"the hub refused ({error}). Is the owner you (hf auth whoami), and may the token write (hf auth login)?"
    return ""


def _absence(error: Exception, name: str) -> str:
    """Return why a model can't be had without the hub, and the fix."""
    from huggingface_hub import constants

    where = f"{name} is not in the hub's cache ({constants.HF_HUB_CACHE})"
    if constants.HF_HUB_OFFLINE:
        return f"{where}, and HF_HUB_OFFLINE is set. Once, with network:   HF_HUB_OFFLINE=0 hf download {name}   {HELP}"
    return f"{where}, and the hub can't be reached ({type(error).__name__}). Try again with network. {HELP}"
