"""JAX's ways to train many networks on the same data: all whole fits are one jitted call.

Which way is fastest depends on the size: `vmap` for small networks, whose steps it makes longer;
`lax.map`, one network after another, for those whose parameters then stay in the cache; between
them groups of 16. With several threads, a device of the processor has an equal share of the
networks: twice as fast on two threads as what XLA makes of them by itself, which is no faster
than one. Shuffles of networks and epochs are drawn and on the device before the clock starts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.comparison.jax_job import JaxJob, fit_of
from engine.comparison.problems import ALPHA


class JaxVmapJob(JaxJob):
    """All networks side by side."""

    def _orders(self, epochs: int, shuffle: bool) -> Any:
        """Of each network, (members, epochs, m)."""
        import jax

        n_samples, members = self._task.problem.n_samples, self._task.members
        generator = np.random.default_rng(self._task.seed)
        assert members is not None
        orders = np.tile(np.arange(n_samples, dtype=np.int32), (members, epochs, 1))
        if shuffle:
            orders = generator.permuted(orders, axis=2)
        return jax.device_put(orders, self._shares())

    def _jitted(self) -> Callable[..., Any]:
        import jax
        from jax.sharding import PartitionSpec

        fit_all = self._over_members(fit_of(self._task.problem, self._task.dtype, ALPHA))
        shares = self._shares()
        if shares is not None:
            all_, each = PartitionSpec(), PartitionSpec("members")
            fit_all = jax.shard_map(
                fit_all,
                mesh=shares.mesh,
                in_specs=(each, all_, all_, each),
                out_specs=each,
                check_vma=False,
            )
        jitted: Callable[..., Any] = jax.jit(fit_all, donate_argnums=0)
        return jitted

    def _over_members(self, fit: Callable[..., Any]) -> Callable[..., Any]:
        import jax

        over: Callable[..., Any] = jax.vmap(fit, in_axes=(0, None, None, 0))
        return over

    def _shares(self) -> Any:
        """How members are shared among devices; None where there is one."""
        import jax
        from jax.sharding import AxisType, NamedSharding, PartitionSpec

        if self._task.n_threads == 1:
            return None
        mesh = jax.make_mesh((self._task.n_threads,), ("members",), axis_types=(AxisType.Auto,))
        return NamedSharding(mesh, PartitionSpec("members"))

    def parameters(self, result: Any) -> Any:
        flat = [part for W, b in result for part in (np.asarray(W).swapaxes(1, 2), np.asarray(b))]
        return np.concatenate([part.reshape(len(part), -1) for part in flat], axis=1).ravel()


class JaxMapJob(JaxVmapJob):
    """One network after another."""

    group: int | None = None

    def _over_members(self, fit: Callable[..., Any]) -> Callable[..., Any]:
        from jax import lax

        def fit_all(parameters: Any, rows: Any, targets: Any, orders: Any) -> Any:
            def of_member(member: Any) -> Any:
                return fit(member[0], rows, targets, member[1])

            return lax.map(of_member, (parameters, orders), batch_size=self.group)

        return fit_all


class JaxGroupsJob(JaxMapJob):
    """One group of networks after another, side by side within a group."""

    group = 16
