"""Frequent sequences with a longest gap, which MLlib knows none of: level by level, in joins of data frames."""

from collections.abc import Iterator
from typing import Any


def levels(
    spark: Any, events: str, min_count: int, max_length: int, max_gap: int | None, max_positions: int | None
) -> Iterator[tuple[list[int], int]]:
    """Frequent sequences of two and more items, with how many rows hold each, the shorter first.

    `events`: a file of `batch.Events`, whose items are frequent. An event follows a pattern when some end of it
    in the same row is before the event and within both limits; all places where a pattern can end are kept, as
    `operators.mining.frequent_sequences` keeps them. Pruned as Apriori is: a sequence is frequent only if its
    beginning is (Srikant & Agrawal, "Mining sequential patterns: generalizations and performance improvements", EDBT
    1996). Everything runs in Spark's own operators. It is slow where rows are long and gaps wide: each level holds an
    entry for each pattern and place at which it can end.
    """
    import pyarrow as pa  # noqa: PLC0415 -- the extra's
    from pyspark.sql import functions as f  # noqa: PLC0415

    table = spark.read.parquet(events).cache()
    near = (f.col("one.row") == f.col("two.row")) & (f.col("two.place") > f.col("one.place"))
    if max_gap is not None:
        near &= f.col("two.time") - f.col("one.time") <= max_gap
    if max_positions is not None:
        near &= f.col("two.place") - f.col("one.place") <= max_positions
    ends = table.withColumnRenamed("item", "pattern")
    patterns: list[list[int]] = []
    for length in range(2, max_length + 1):
        reached = (
            ends.alias("one").join(table.alias("two"), near)
            .select("two.row", "one.pattern", "two.item", "two.place", "two.time").distinct()
        )  # fmt: skip
        if length < max_length:
            reached.cache()
        counts = reached.select("row", "pattern", "item").distinct().groupBy("pattern", "item").count()
        found = counts.where(f.col("count") >= min_count).toArrow()
        longer: list[list[int]] = []
        for pattern, item, count in zip(
            *(found[name].to_pylist() for name in ("pattern", "item", "count")), strict=True
        ):
            longer.append([*(patterns[pattern] if patterns else [pattern]), item])
            yield longer[-1], count
        if not longer or length == max_length:
            break
        patterns = longer
        numbers = spark.createDataFrame(
            pa.table([found["pattern"], found["item"], pa.array(range(len(longer)), pa.int32())],
                     names=["pattern", "item", "number"])
        )  # fmt: skip
        ends = reached.join(numbers, ["pattern", "item"]).select(
            "row", f.col("number").alias("pattern"), "place", "time"
        )
    spark.catalog.clearCache()
