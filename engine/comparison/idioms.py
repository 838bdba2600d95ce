"""How each contender is driven, and what is not equal between them: said in tables and on pages."""

from engine.comparison.environments import own_python, version_in
from engine.comparison.figures import Contender
from engine.comparison.jobs import OURS, PEERS
from engine.comparison.machine import installed_version

LABELS = {
    "tiled": "engine, tiled",
    "loops": "engine, loops",
    "numpy": "engine, NumPy",
    **{name: peer.label for name, peer in PEERS.items()},
}

IDIOMS = {
    "tiled": "engine.train with its default backend: slices of minibatch descent in one compiled "
    "call.",
    "loops": "engine.train with the equations written out index by index, a compiled call a batch.",
    "numpy": "engine.train with the equations as NumPy matrix algebra, a batch at a time.",
    "sklearn": "One fit of MLPClassifier or MLPRegressor, without early stopping.",
    "torch": "A lean loop around autograd.grad and the fused Adam, on functional layers.",
    "torch-compiled": "A whole step (batch, gradient, Adam) compiled by torch.compile, called from "
    "a loop.",
    "jax": "The whole fit as one jitted call: a scan over epochs and steps.",
}

UNEQUAL = [
    "Adam's epsilon stands outside the bias correction, but for PyTorch's own Adam (eager), where "
    "it stands inside.",
    "Each contender draws its own shuffles; JAX's are drawn before its clock starts, which favours "
    "it.",
    "scikit-learn computes the loss of each epoch, and so does engine.train; PyTorch and JAX do "
    "not, which favours them.",
    "The engine's products never go through BLAS, so that the bits do not depend on the number of "
    "threads; the others' do.",
    "Compiled code: the engine keeps it on disk for all later processes; PyTorch keeps a part; JAX "
    "compiles anew for each number of epochs.",
]


def described(
    names: list[str], wanted: list[str], own: tuple[str, ...] = ()
) -> dict[str, Contender]:
    """Who takes part, and who was wanted and does not."""
    found = {}
    for name in wanted:
        peer = PEERS.get(name)
        distributions = [peer.distribution] if peer else ["mlp-engine"]
        here = {d: v for d in distributions if (v := installed_version(d)) is not None}
        python = own_python(peer.distribution) if peer else None
        apart = python is not None and (not here or distributions[0] in own)
        if apart and python is not None:
            here = {d: version_in(python, d) or "unknown" for d in distributions}
        found[name] = Contender(
            label=LABELS[name],
            idiom=IDIOMS[name],
            python="an environment of its own" if apart else "this environment",
            versions=here,
        )
        if name not in names:
            advice = f"pip install {distributions[0]}" if peer else f"it has {', '.join(OURS)}"
            found[name]["missing"] = f"not installed: {advice}" if peer else advice
    return found
