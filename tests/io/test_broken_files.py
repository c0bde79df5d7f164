"""Real files cut, flipped, zeroed and repeated at random end in light curves or a clear `Unreadable`, soon.

60 of them by default; ``GOODRICKE_BROKEN_FILES=1000`` tries more. They are read in a process of its own with a limit
of memory, so that a table that claims a terabyte shows.
"""

import json
import logging
import os
import resource
import subprocess
import sys
import time as clock
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goodricke.io import Unreadable, read

from .conftest import DATA, write_fits

# warnings of writers and of broken files: some of astropy's can't be sent between test processes
pytestmark = pytest.mark.filterwarnings("ignore")

N_FILES = int(os.environ.get("GOODRICKE_BROKEN_FILES", "60"))
SEED = int(os.environ.get("GOODRICKE_BROKEN_SEED", "20261130"))
BIGGEST = 600_000  # bytes of a real file that is broken here; larger ones only cost time
SECONDS, MEMORY = 10, 2 << 30  # what one file may take; memory beyond what the libraries take


def broken(raw: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return how a file was broken, and its bytes."""
    data = bytearray(raw)
    how = str(rng.choice(["cut", "flip", "zero", "repeat", "head", "drop"]))
    start = int(rng.integers(len(data)))
    length = int(min(rng.integers(1, 4000), len(data) - start))
    if how == "cut":
        data = data[:start]
    elif how == "flip":
        for at in rng.integers(len(data), size=int(rng.integers(1, 30))):
            data[at] ^= 1 << int(rng.integers(8))
    elif how == "zero":
        data[start : start + length] = bytes(length)
    elif how == "repeat":
        data[start:start] = data[start : start + length]
    elif how == "drop":
        del data[start : start + length]
    else:  # in the first bytes, where headers are
        for at in rng.integers(min(len(data), 3000), size=int(rng.integers(1, 5))):
            data[at] = int(rng.integers(256))
    return how, bytes(data)


def outcome(path: Path) -> str:
    """Return "read", "Unreadable", or what went wrong."""
    begun = clock.perf_counter()
    try:
        curves = read(path)
        result = "read" if len(curves.offsets) == len(curves) + 1 else "inconsistent"
    except Unreadable as error:
        result = f"unclear: {error}" if "report it if it seems whole" in str(error) else "Unreadable"
    except BaseException as error:
        result = f"{type(error).__name__}: {error}"
    seconds = clock.perf_counter() - begun
    return result if seconds < SECONDS else f"{seconds:.0f} s, {result}"


def run(folder: Path, n: int, seed: int) -> list[str]:
    """Break ``n`` files, read them, and return the faults."""
    sources = sorted(p for p in (*(DATA / "formats").rglob("*"), *(DATA.parent / "cases").iterdir()) if p.is_file())
    sources = [path for path in sources if path.suffix != ".md" and path.stat().st_size <= BIGGEST]
    faults = []
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        source = sources[int(rng.integers(len(sources)))]
        how, data = broken(source.read_bytes(), rng)
        path = folder / f"{i}{source.suffix}"
        path.write_bytes(data)
        if (result := outcome(path)) not in ("read", "Unreadable"):
            faults.append(f"{i} {source.name} {how}: {result}")
        path.unlink()
    return faults


def main(folder: str, n: str, seed: str) -> None:
    """Run in a process whose memory is limited, and print the faults as JSON."""
    logging.disable(logging.CRITICAL)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(json.dumps(run(Path(folder), int(n), int(seed))))


@pytest.mark.skipif(not DATA.is_dir(), reason="no survey files to break")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited by Linux's means")
def test_broken_files_end_in_light_curves_or_a_clear_error(tmp_path):
    command = f"from tests.io.test_broken_files import main; main({str(tmp_path)!r}, {N_FILES}, {SEED})"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", command],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=60 + 2 * N_FILES,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not json.loads(done.stdout.splitlines()[-1])


def nested_file(path: Path) -> Path:
    """A small nested Parquet file."""
    lists = pa.array([[59000.0, 59001.0], [59000.0]], pa.list_(pa.float64()))
    pq.write_table(pa.table({"object_id": ["a", "b"], "mjd": lists, "mag": lists}), path)
    return path


def test_parquet_whose_footer_ends_the_process(tmp_path):
    """Arrow reports a damaged histogram of list lengths when it reads, and aborts the process when asked for it."""
    from goodricke.io import nested
    from goodricke.io.files import SourceFile

    raw = nested_file(tmp_path / "a.parquet").read_bytes()
    outcomes = set[str]()
    for at in range(len(raw) - 950, len(raw) - 800):  # where the footer has the histograms
        damaged = tmp_path / "b.parquet"
        damaged.write_bytes(raw[:at] + bytes([raw[at] ^ 2]) + raw[at + 1 :])
        outcomes.add(outcome(damaged))
    assert outcomes <= {"read", "Unreadable"}
    assert nested.row_group_sizes(SourceFile(tmp_path / "a.parquet"), ["mjd", "mag"], range(1)) == [(2, 3)]


def test_parquet_with_a_name_that_is_no_text(tmp_path):
    path = nested_file(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes().replace(b"object_id", b"object\xff\xfed"))
    with pytest.raises(Unreadable, match="damaged Parquet file"):
        read(path)


def test_fits_table_without_its_number_of_rows(tmp_path):
    path = write_fits(tmp_path / "a.fits", {}, {"time": np.arange(3.0), "flux": np.ones(3)})
    path.write_bytes(path.read_bytes().replace(b"NAXIS2  =", b"NAXXS2  ="))
    with pytest.raises(Unreadable, match="Fix: "):
        read(path)


@pytest.mark.parametrize(
    "mark", [" ", "\n", "# ", "|", "[", "a[", "(a", ",", '"', "1", "<1", "Title:\n", "\\\n", "-", "{", "[["]
)
def test_text_of_one_mark_over_and_over_ends_soon(tmp_path, mark):
    """No pattern that a file's beginning is matched with takes longer than the text is long."""
    for end in ("", "x", "\nmjd,mag\n59000,12\n"):
        path = tmp_path / "a.txt"
        path.write_text(mark * (20_000 // len(mark)) + end)
        begun = clock.process_time()
        assert outcome(path) in ("read", "Unreadable")
        assert clock.process_time() - begun < 2


@pytest.mark.parametrize("seed", range(max(1, N_FILES // 100)))
def test_small_files_of_every_container_broken_at_random(tmp_path, seed):
    """The same in this process and without survey files: of each container one that the test writes."""
    from .test_containers import WRITERS

    table = {"object_id": np.repeat(["a", "b"], 6), "mjd": 59000.5 + np.arange(12), "mag": 12 + np.arange(12) / 8}
    table |= {"mag_err": np.full(12, 0.125), "band": np.tile(["g", "r"], 6)}
    for k, (ending, write) in enumerate(WRITERS.items()):
        write(table, tmp_path / f"whole.{ending}")
        raw = (tmp_path / f"whole.{ending}").read_bytes()
        for i in range(8):
            how, data = broken(raw, np.random.default_rng([SEED, seed, k, i]))
            (path := tmp_path / f"{seed}-{k}-{i}.{ending}").write_bytes(data)
            begun = clock.process_time()
            assert outcome(path) in ("read", "Unreadable"), (how, ending, i)
            assert clock.process_time() - begun < SECONDS
