"""What a second thread is worth: 1 is a job in half the time, 2 is nothing gained."""

import os
import time

from benchmarks.cases import Tracked, assert_close, ratio_in_turns, reference_cost, rows_and_labels


def usable_cores():
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Scaling(Tracked):
    """A full-batch gradient on two threads: its time x 2 / the time on one, wall time, in turns."""

    params = ["20-100-1", "784-128-10"]
    param_names = ("network",)

    def setup(self, network):
        from engine import Network

        if usable_cores() < 2:
            raise NotImplementedError("one core")
        sizes = tuple(map(int, network.split("-")))
        rows, codes = rows_and_labels(8000, sizes[0], max(2, sizes[-1]))
        net = Network(sizes, output="sigmoid" if sizes[-1] == 1 else "softmax")
        theta = net.initial_parameters(0, "float32")

        def on(threads):
            return net.cost_and_gradient(theta, rows.T, codes, n_threads=threads)

        self.one, self.two = lambda: on(1), lambda: on(2)
        (J, dtheta), (same_J, same) = self.one(), self.two()
        assert_close(J, reference_cost(net, theta, rows, codes), "float32")
        assert (J, dtheta.tobytes()) == (same_J, same.tobytes()), "other bits on two threads"

    def track_two_threads(self, network):
        return 2 * ratio_in_turns(self.two, self.one, clock=time.perf_counter)

    track_two_threads.unit = "x the ideal time"
