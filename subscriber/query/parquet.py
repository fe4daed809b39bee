"""Found rows as a Parquet file, written as they come: one row group of bounded size at a time.

pyarrow is an extra, and needs 38 MB: this module is imported only where somebody asks for Parquet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet

from subscriber.query.search_query import Found

ROWS_PER_GROUP: Final = 50_000
"""About 10 MB, so that readers can skip groups and memory stays bounded."""
SCHEMA: Final[Any] = pa.schema(
    [
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("version_id", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("is_latest", pa.bool_(), nullable=False),
        pa.field("size_bytes", pa.int64()),
        pa.field("etag", pa.string()),
        pa.field("event_time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("storage_class", pa.string()),
    ]
)


@contextmanager
def writer(stream: BinaryIO) -> Iterator[Callable[[Sequence[Found]], None]]:
    """A function that writes rows; the end of the block completes the file, unless it fails."""
    held: list[Any] = []
    with pa.parquet.ParquetWriter(pa.PythonFile(stream, mode="w"), SCHEMA, compression="zstd") as file:

        def flush() -> None:
            if held:
                file.write_table(pa.Table.from_batches(held), row_group_size=ROWS_PER_GROUP)
                held.clear()

        def write(rows: Sequence[Found]) -> None:
            columns = zip(*(msgspec.structs.astuple(row) for row in rows), strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
            held.append(pa.record_batch(arrays, schema=SCHEMA))
            if sum(batch.num_rows for batch in held) >= ROWS_PER_GROUP:
                flush()

        yield write
        flush()
