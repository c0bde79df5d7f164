"""A server on a port of this machine, for ``goodricke explore`` and ``goodricke serve``."""

from __future__ import annotations

import socket
from importlib import import_module
from typing import Any

LIMITS = {
    "timeout_keep_alive": 15,  # seconds that a connection stays open between requests
    "limit_concurrency": 200,  # connections; see `goodricke.service.connections`
    "timeout_graceful_shutdown": 5,
}
EXTRA = "pip install 'goodricke[explore]'"


class Server:
    """An open port, which takes connections from the beginning and answers them once `run` is called.

    Parameters
    ----------
    host : str
    port : int
        0 for one that is free.
    token : str, optional
        What requests must show. One is made if the host can be reached from other machines.

    Raises
    ------
    ImportError
        If the extra ``explore`` isn't installed.
    ValueError
        If the port is taken, or the token too short.
    """

    def __init__(self, host: str, port: int, token: str | None = None) -> None:
        check_libraries("fastapi", "uvicorn")
        from goodricke.service.security import LOCAL, Access, new_token

        self.access = Access(host, token or (None if host in LOCAL else new_token()))
        self.socket = listen(host, port)

    def address(self, path: str = "") -> str:
        """Return the address to open in a browser, with the token."""
        return address(self.access.host, self.socket.getsockname()[1], self.access.token, path)

    def run(self, app: Any, **limits: Any) -> None:
        """Serve an application until the user ends it; ``limits`` of `uvicorn.Config` replace some of `LIMITS`."""
        import torch
        import uvicorn

        from goodricke.service.connections import LimitedProtocol

        torch.set_num_threads(1)  # small batches: more threads only wait for each other
        settings: dict[str, Any] = {"log_level": "warning", "server_header": False, "access_log": False, **LIMITS}
        config = uvicorn.Config(app, http=LimitedProtocol, **(settings | limits))
        uvicorn.Server(config).run(sockets=[self.socket])


def check_libraries(*names: str) -> None:
    """Import libraries of the extra ``explore``.

    Raises
    ------
    ImportError
        If one is missing; the message names the extra.
    """
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            raise ImportError(f"this needs {name}: {EXTRA}") from error


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    ValueError
        If the port is taken, or the address not this machine's.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # early connections wait until the server runs
    except OSError as error:
        listener.close()
        fix = "take another --port, or 0 for a free one" if port else "check --host"
        raise ValueError(f"can't listen at {host}:{port} ({error.strerror}): {fix}") from error
    listener.set_inheritable(True)
    return listener


def address(host: str, port: int, token: str | None = None, path: str = "") -> str:
    """Return the address of a page of the server."""
    from goodricke.service.security import EVERYWHERE

    name = socket.gethostname() if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/{path}" + (f"?token={token}" if token else "")
