"""Exit codes of the commands."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code means to a script."""

    DONE = 0
    USAGE = 2  # wrong options, or a fault that the user can fix; a line on standard error says which
    SOME_FAILED = 3  # the command ran to its end, but some objects, files or shards have no result
