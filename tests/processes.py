"""Commands in processes of their own, to be killed; this module is light, since each process imports it."""

import os
from multiprocessing.process import BaseProcess

from benchmarks.processes import peak_memory, wait_for_processes

from goodricke.data.processes import worker_context


def start_command(*words: object) -> BaseProcess:
    """Start `goodricke WORDS` in a process of its own, a fork of one that has imported everything."""
    process = worker_context().Process(target=_run_command, args=([str(word) for word in words], dict(os.environ)))
    process.start()
    return process


def _run_command(words: list[str], environment: dict[str, str]) -> None:
    from goodricke.cli import app

    os.environ.update(environment)
    app(words)


def process() -> tuple[int, str | None, float]:
    """Return the process's number, a variable of its environment, and its largest memory [GB]."""
    wait_for_processes()
    return os.getpid(), os.environ.get("MALLOC_TOP_PAD_"), peak_memory()
