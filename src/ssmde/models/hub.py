"""The Hugging Face hub: weights pulled and pushed, asked only where it answers at once.

Its own clients try for minutes. A repository holds the .safetensors of a run as it is, whose head
carries the configuration, and a model card; `config.json` is for the hub's pages.
"""

import json
import os
import shutil
import socket
import tempfile
import threading
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ssmde.console import first_line
from ssmde.models.checkpoint import read_weights, stored_config

ENDPOINT = "https://huggingface.co"
PATIENCE = 3.0  # seconds for an answer; names are looked up in them too
HUB_PREFIX = "hf:"  # before owner/name, wherever weights are asked for
WEIGHTS_FILE = "model.safetensors"


def from_hub(load: Callable[..., Any], name: str, *words: Any, **options: Any) -> Any:
    """What a loader, such as `hf_hub_download`, gives; out of its cache where out of reach.

    The name is OWNER/NAME, or a folder, for which nobody is asked.
    """
    if Path(name).exists() or hub_in_reach():
        return load(name, *words, **options)
    try:
        return load(name, *words, local_files_only=True, **options)
    except Exception as error:  # whatever the loader says, it is not there
        host = _endpoint().hostname
        raise ConnectionError(f"{host} is out of reach, and the cache has it not") from error


def hub_in_reach() -> bool:
    """Whether the hub, or the proxy before it, answers within a few seconds."""
    from huggingface_hub import constants  # slow, and most commands need no hub

    if constants.HF_HUB_OFFLINE:  # the user said so, and the hub's client knows what to say
        return True
    address = _endpoint()
    if proxy := urllib.request.getproxies().get(address.scheme):
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = address.port or (80 if address.scheme == "http" else 443)
    reached = threading.Event()

    def connect() -> None:
        with suppress(OSError), socket.create_connection((address.hostname or "", port), PATIENCE):
            reached.set()

    # A name server that does not answer has no limit of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return reached.is_set()


def _endpoint() -> SplitResult:
    return urlsplit(os.environ.get("HF_ENDPOINT") or ENDPOINT)


def download_weights(name: str, *, revision: str | None = None) -> Path:
    """Weights of a repository: the cached file where it is current or the hub is out of reach.

    ConnectionError: neither has them. ValueError: there is no such repository, revision or file.
    """
    if name.count("/") != 1 or name.startswith("/") or name.endswith("/"):
        raise ValueError(f"a repository of the hub is OWNER/NAME, got {name!r}")
    import huggingface_hub  # only now, in each function: it is slow, and most weights are files
    from huggingface_hub import errors

    page = f"{ENDPOINT}/{name}"
    faults = {
        errors.RepositoryNotFoundError: "no such repository, or it is private: check the name, or "
        "`hf auth login`",
        errors.RevisionNotFoundError: f"has no revision {revision!r}",
        errors.EntryNotFoundError: f"holds no {WEIGHTS_FILE}, so it holds no weights of this "
        "project",
    }
    load = huggingface_hub.hf_hub_download
    try:
        return Path(from_hub(load, name, WEIGHTS_FILE, revision=revision))
    # Not only OSError: the errors of the HTTP client below the hub change with its version.
    except Exception as error:
        found = [fault for kind, fault in faults.items() if isinstance(error, kind)]
        # That of an empty cache is one of them too, and means a hub out of reach.
        if found and not isinstance(error, errors.LocalEntryNotFoundError):
            raise ValueError(f"{page}: {found[0]}") from error
        raise ConnectionError(
            f"cannot get {WEIGHTS_FILE} from {page}, and it is not in the cache "
            f"({type(error).__name__}: {first_line(error)}). Is the internet in reach, and "
            f"HF_HUB_OFFLINE unset? Or download {page}/resolve/main/{WEIGHTS_FILE} elsewhere and "
            "give its path"
        ) from error


def push_to_hub(weights: str | Path, name: str, card: str, *, private: bool = False) -> str:
    """Upload weights with their model card; returns the address of the commit.

    The card is Markdown that begins with the header of the hub's pages, which says the `license` of
    the weights. The repository OWNER/NAME is made if absent; `private` is about a new one.
    ValueError: no such weights, or no license. ConnectionError: the hub is not reached, or refuses.
    """
    import huggingface_hub

    _, metadata = read_weights(Path(weights))
    stored_config(Path(weights), metadata)
    if not huggingface_hub.ModelCard(card).data.to_dict().get("license"):
        raise ValueError(
            "the card of weights must say their license, in lines at its beginning: ---, "
            "license: mit, ---; and below what they learnt from, their numbers and weaknesses"
        )
    facts = {key: metadata[key] for key in ("format", "version", "config")}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copyfile(weights, folder / WEIGHTS_FILE)
        (folder / "config.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(card, encoding="utf-8")
        try:
            huggingface_hub.create_repo(name, private=private, exist_ok=True)
            commit = huggingface_hub.upload_folder(
                repo_id=name, folder_path=folder, commit_message="Weights and model card"
            )
        except Exception as error:  # see download_weights
            raise ConnectionError(
                f"the hub did not take it ({type(error).__name__}: {first_line(error)}); log in "
                "with `hf auth login`, or set HF_TOKEN, to a token that may write"
            ) from error
    return str(commit.commit_url)
