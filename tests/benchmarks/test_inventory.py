"""Reading an inventory takes no more memory for more rows, and the benchmark measures it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from benchmarks import inventory_fill
from benchmarks.inventory import main, measured
from subscriber.reconcile.inventory.manifest import FileFormat
from testkit.s3.inventory import Written, sample_versions, write_inventory

pytestmark = pytest.mark.usefixtures("untraced")

_MEBIBYTE = 2**20


@pytest.mark.parametrize(("file_format", "peak_mebibytes"), [("CSV", 60), ("Parquet", 150), ("ORC", 150)])
def test_memory_does_not_grow_with_the_inventory(tmp_path: Path, file_format: FileFormat, peak_mebibytes: int) -> None:
    """Four times the rows in one file, one row group or stripe, take at most 16 MiB more, all below the limit."""
    peaks = []
    for rows in (30_000, 120_000):
        how = Written(file_format=file_format, rows_per_file=rows)
        manifest = write_inventory(tmp_path / str(rows), sample_versions(1, rows), how)
        read = measured(manifest)
        assert read.rows == rows
        peaks.append(read.peak_bytes)

    assert peaks[1] - peaks[0] < 16 * _MEBIBYTE
    assert peaks[1] < peak_mebibytes * _MEBIBYTE


def test_the_table_has_each_format(capsys: pytest.CaptureFixture[str]) -> None:
    """The benchmark prints a row for each format; its exit code is for slow formats, and no matter of this test."""
    assert main(["--rows", "2000", "--rounds", "1"]) in {0, 1}
    table = capsys.readouterr().out.splitlines()[3:]
    assert [line.split(" ")[1] for line in table] == list(get_args(FileFormat))


def test_the_whole_way_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """All rows come into an empty index, and none into a complete one."""
    assert inventory_fill.main(["--rows", "3000"]) == 0
    table = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[3:]]
    assert [line[:2] for line in table] == [["| empty", "3,000"], ["| complete", "0"]]
