"""Work in a process whose memory is limited: files may be mapped, but hardly anything copied.

The limit is on private writable memory (RLIMIT_DATA): a mapping that is only read does not count, a
copy of it does. It is set once all code is loaded and compiled, by a small run of the same work.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

MB = 1 << 20
SMALL = 2048  # rows of the run before


def limit_memory(extra: int) -> None:
    """So many bytes more than now, and no more."""
    import resource

    most = data_now() + extra
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def limit_addresses(extra: int) -> None:
    """The same of addresses, which files that are mapped take as well."""
    import resource

    most = _now("VmSize") + extra
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def data_now() -> int:
    """Private writable memory of this process."""
    return _now("VmData")


def _now(field: str) -> int:
    from engine.system.free_memory import of_process

    found = of_process(field)
    assert found is not None
    return found


def opened(folder: str) -> tuple[Any, Any]:
    return tuple(np.load(Path(folder, f"{name}.npy"), mmap_mode="r") for name in "Xy")


def trained(folder: str, settings: dict[str, Any], extra: int | None) -> str:
    """The fingerprint of `train` on the folder's X and y, within `extra` bytes if there is one."""
    from engine import Network, train

    X, y = opened(folder)
    network = Network((X.shape[1], 8, 3), output="softmax")

    def run(X: Any, y: Any) -> str:
        return train(network, X.T, y, max_iter=2, **settings).fingerprint

    run(np.array(X[:SMALL]), y[:SMALL])
    if extra is None:
        return run(np.array(X), np.array(y))
    limit_memory(extra)
    return run(X, y)


def trained_as_it_lies(folder: str, settings: dict[str, Any]) -> str:
    """The same of the mapped arrays, as the process may."""
    from engine import Network, train

    X, y = opened(folder)
    network = Network((X.shape[1], 8, 3), output="softmax")
    return train(network, X.T, y, max_iter=2, **settings).fingerprint


def fitted(folder: str, kind: str, settings: dict[str, Any], extra: int | None) -> list[Any]:
    """The fingerprint of an estimator, and the sum of what it predicts."""
    import engine

    warnings.simplefilter("ignore")
    X, y = opened(folder)

    def run(X: Any, y: Any) -> list[Any]:
        model = getattr(engine, kind)(
            hidden_layer_sizes=8, max_iter=2, random_state=0, **settings
        ).fit(X, y)
        return [model.fingerprint_, float(model.predict(X).sum())]

    run(np.array(X[:SMALL]), y[:SMALL])
    if extra is None:
        return run(np.array(X), np.array(y))
    limit_memory(extra)
    return run(X, y)


def in_group(group: str, name: str, *arguments: Any) -> Any:
    """What a function of this module returns, in a control group from the start on."""
    from tools import memory_group

    memory_group.enter(group)
    return globals()[name](*arguments)


def copied(folder: str, extra: int | None) -> str:
    """What becomes of a copy."""
    X, _ = opened(folder)
    if extra is not None:
        limit_memory(extra)
    try:
        return str(np.array(X).shape)
    except MemoryError:
        return "MemoryError"


def converted(source: str, small: str, folder: str, extra: int, hoard: bool) -> int:
    """Rows that `convert_table` wrote; with `hoard`, each batch is kept."""
    from engine import convert_table
    from engine.tables import table_files

    table_files.PART_BYTES, table_files.CELLS = 1 << 19, 1 << 15
    convert_table(small, f"{folder}/small", "y")
    kept = []
    if hoard:
        batches = table_files.TableFiles.batches

        def hoarding(files: Any) -> Any:
            for batch in batches(files):
                kept.append(batch)
                yield batch

        setattr(table_files.TableFiles, "batches", hoarding)  # noqa: B010
    limit_memory(extra)
    table = convert_table(source, f"{folder}/large", "y")
    return sum(table.facts["rows"].values())


def converted_with_few_addresses(source: str, small: str, folder: str, extra: int) -> list[str]:
    """What `convert_table` says within a limit, and `open_table` with 1 MB of addresses left."""
    from engine import convert_table, open_table
    from engine.tables import table_files

    # With larger batches, polars at times finds too few addresses.
    table_files.PART_BYTES, table_files.CELLS = 1 << 18, 1 << 14
    convert_table(small, f"{folder}/small", "y")
    limit_addresses(extra)
    said = []
    large = f"{folder}/large"
    for work, *given in ((convert_table, source, large, "y"), (open_table, large)):
        if work is open_table:
            limit_addresses(1 << 20)
        try:
            said.append(str(sum(work(*given).facts["rows"].values())))
        except MemoryError as error:
            said.append(str(error))
    return said
