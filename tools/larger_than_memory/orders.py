"""How good: what the shuffles are worth, on rows that are sorted by their class."""

from typing import Any

import numpy as np

from engine import Network, train

BATCH, EPOCHS = 200, 3
N_CLASSES, N_FEATURES = 10, 20


def costs(n_rows: int) -> dict[str, Any]:
    """The cost over all rows after each epoch, of rows at random and of sorted ones."""
    g = np.random.default_rng(0)
    centres = g.standard_normal((N_CLASSES, N_FEATURES), np.float32)
    classes = g.integers(N_CLASSES, size=n_rows, dtype=np.int32)
    X = centres[classes] + 2 * g.standard_normal((n_rows, N_FEATURES), np.float32)
    network = Network((N_FEATURES, 32, N_CLASSES), output="softmax")
    places = np.argsort(classes, kind="stable")
    found = []
    for name, rows, y in (
        ("at random", X, classes),
        ("sorted by class", X[places], classes[places]),
    ):
        for shuffle in (False, "blocks", True):
            after: list[float] = []

            def note(told: Any, rows: Any = rows, y: Any = y, after: Any = after) -> None:
                after.append(float(network.objective(rows.T, y).cost(told.theta)))

            settings: dict[str, Any] = {"batch_size": BATCH, "shuffle": shuffle}
            train(network, rows.T, y, **settings, max_iter=EPOCHS, callback=note)
            said = f'"{shuffle}"' if isinstance(shuffle, str) else repr(shuffle)
            found.append({"rows": name, "shuffle": said, "costs": after})
            print(f"{name}, {said}: {after}", flush=True)
    return {"rows": n_rows, "costs": found}


def table(found: dict[str, Any]) -> str:
    """The same, as the page shows it."""
    lines = [
        f"{found['rows']:,} rows, {N_FEATURES} features, {N_CLASSES} classes; network "
        f"{N_FEATURES}-32-{N_CLASSES}, Adam, batches of {BATCH}",
        "",
        "| rows in the file | shuffle | cost after 1 epoch | 2 | 3 |",
        "|---|---|--:|--:|--:|",
    ]
    for line in found["costs"]:
        costs = " | ".join(f"{cost:.4f}" for cost in line["costs"])
        lines.append(f"| {line['rows']} | {line['shuffle']} | {costs} |")
    return "\n".join(lines)
