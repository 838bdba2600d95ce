"""Whether a table fits into memory, before memory runs out."""

from pathlib import Path

# A table in memory takes about so many times what its file does, with what is made of it.
TRAINED = {".parquet": 10, ".pq": 10, ".csv": 5, ".tsv": 5}
PREDICTED = {".parquet": 15, ".pq": 15, ".csv": 8, ".tsv": 8}

ON_DISK = (
    "Add --on-disk FOLDER: the table is converted to arrays in that folder, and trained on from "
    "there in bounded memory."
)
IN_PARTS = "A table is read as a whole here: divide it into several files, and take one at a time."


def check_fits_memory(table: Path, times: dict[str, int], advice: str) -> None:
    """ValueError, with `advice`, if the table would take more memory than is left."""
    from engine.system.free_memory import in_words, memory_left

    if not table.is_file():
        return
    needed = times.get(table.suffix.lower(), 1) * table.stat().st_size
    left = memory_left()
    if needed > left:
        raise ValueError(
            f"{table} would take about {in_words(needed)} of memory, and {in_words(left)} are left."
            f" {advice}"
        )
