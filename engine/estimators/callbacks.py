"""scikit-learn's callbacks (sklearn.callback): each epoch of a fit is a task within it."""

from typing import Any

from engine.estimators.watch import Epoch
from engine.network import Network


class Tasks:
    """The tasks of a fit, as scikit-learn's callbacks receive them.

    Parameters
    ----------
    estimator : estimator with callbacks
    network : Network
    fit : sklearn.callback.CallbackContext
        The task of the whole fit.
    name : str
        Name of the inner tasks: "epoch" or "iteration".
    most : int
        The most inner tasks.
    data : dict
        X, y and metadata, as the hooks take them.
    """

    def __init__(
        self,
        estimator: Any,
        network: Network,
        fit: Any,
        name: str,
        most: int,
        data: dict[str, Any],
    ) -> None:
        self._estimator = estimator
        self._network = network
        self._fit = fit
        self._name = name
        self._most = most
        self._data = data
        self._task: Any = None
        fit.call_on_fit_task_begin(estimator=estimator, **data)
        self._begin_task()

    def _begin_task(self) -> None:
        self._task = self._fit.subcontext(task_name=self._name)
        self._task.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def tell(self, epoch: Epoch) -> bool:
        """End an inner task and begin the next; whether a callback asks to stop."""
        stop = self._end(self._task, epoch)
        self._task = None
        if epoch.number < self._most and not stop:
            self._begin_task()
        return stop

    def close(self, epoch: Epoch) -> None:
        """End the fit, and before it an inner task that has begun but will not take place."""
        if self._task is not None:
            self._task.call_on_fit_task_end(estimator=self._estimator)
        self._end(self._fit, epoch)

    def _end(self, task: Any, epoch: Epoch) -> bool:
        stop = task.call_on_fit_task_end(
            estimator=self._estimator,
            **self._data,
            reconstruction_attributes=lambda: attributes_at(self._network, epoch),
        )
        return bool(stop)


def attributes_at(network: Network, epoch: Epoch) -> dict[str, Any]:
    """The fitted attributes of an estimator at the end of an epoch."""
    theta = epoch.theta.copy()
    layers = network.views(theta)
    embedded = network.embeddings is not None
    of_embeddings = {"embeddings_": network.embedding_views(theta)} if embedded else {}
    return {
        "coefs_": [W.T for W, _ in layers],
        "intercepts_": [b for _, b in layers],
        **of_embeddings,
        "n_iter_": epoch.number,
        "loss_": epoch.loss,
    }
