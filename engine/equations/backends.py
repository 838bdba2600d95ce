"""The backends NUMPY, LOOPS and TILED: each is a table of functions. Only this file knows all."""

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.equations import backward, embeddings, losses, mean, passes, update


class Backend(NamedTuple):
    """The functions that a network is evaluated and trained with."""

    name: str
    forward_pass: Callable[..., Any]
    cost_pass: Callable[..., Any]
    gradient_pass: Callable[..., Any]
    mean_cost: Callable[..., Any]
    mean_gradient: Callable[..., Any]
    gradient_descent: Callable[..., Any]
    momentum: Callable[..., Any]
    nesterov: Callable[..., Any]
    adam: Callable[..., Any]
    decay: Callable[..., Any]
    average: Callable[..., Any]
    clip: Callable[..., Any]
    smooth_targets: Callable[..., Any]
    embed: Callable[..., Any]
    input_gradient: Callable[..., Any]
    embedding_gradient: Callable[..., Any]


NUMPY = Backend(
    name="numpy",
    forward_pass=passes.forward_pass_numpy,
    cost_pass=passes.cost_pass_numpy,
    gradient_pass=passes.gradient_pass_numpy,
    mean_cost=mean.mean_cost_numpy,
    mean_gradient=mean.mean_gradient_numpy,
    gradient_descent=update.gradient_descent_numpy,
    momentum=update.momentum_numpy,
    nesterov=update.nesterov_numpy,
    adam=update.adam_numpy,
    decay=update.decay_numpy,
    average=update.average_numpy,
    clip=update.clip_numpy,
    smooth_targets=losses.smooth_targets_numpy,
    embed=embeddings.embed_numpy,
    input_gradient=backward.input_gradient_numpy,
    embedding_gradient=embeddings.embedding_gradient_numpy,
)

LOOPS = Backend(
    name="loops",
    forward_pass=passes.forward_pass_loops,
    cost_pass=passes.cost_pass_loops,
    gradient_pass=passes.gradient_pass_loops,
    mean_cost=mean.mean_cost_loops,
    mean_gradient=mean.mean_gradient_loops,
    gradient_descent=update.gradient_descent_loops,
    momentum=update.momentum_loops,
    nesterov=update.nesterov_loops,
    adam=update.adam_loops,
    decay=update.decay_loops,
    average=update.average_loops,
    clip=update.clip_loops,
    smooth_targets=losses.smooth_targets_loops,
    embed=embeddings.embed_loops,
    input_gradient=backward.input_gradient_loops,
    embedding_gradient=embeddings.embedding_gradient_loops,
)

# Functions that loop over the parameters are those of LOOPS, but steps with a state (velocity or
# moments) treat subnormal numbers as zeros.
TILED = LOOPS._replace(
    name="tiled",
    forward_pass=passes.forward_pass_tiled,
    cost_pass=passes.cost_pass_tiled,
    gradient_pass=passes.gradient_pass_tiled,
    momentum=update.momentum_tiled,
    nesterov=update.nesterov_tiled,
    adam=update.adam_tiled,
)

BACKENDS = {"numpy": NUMPY, "loops": LOOPS, "tiled": TILED}
FASTEST = TILED
