"""Each equation by each backend.

The names are those of the functions in engine/equations/, where the equations' labels stand.
"""

from benchmarks.cases import BACKENDS, Steady, assert_close, require_backend
from benchmarks.embedding_equations import EMBEDDINGS
from benchmarks.layer_equations import EQUATIONS, Draw
from benchmarks.parameter_equations import OVER_PARAMETERS
from benchmarks.sparse_equations import SPARSE


class _Calls(Steady):
    """Calls of one equation, whose first result is compared with NumPy's."""

    rounds = 1
    repeat = (3, 10, 0.25)
    warmup_time = 0.02

    def prepare(self, prepared):
        self.act, result, expected = prepared
        self.act()
        assert_close(result(), expected)


class Equations(_Calls):
    """Fifty calls; what works in place is given its arguments anew in each."""

    params = (list(EQUATIONS), BACKENDS)
    param_names = ("equation", "backend")

    def setup(self, equation, backend):
        require_backend(backend)
        self.prepare(EQUATIONS[equation](Draw(), backend))

    def time_50_calls(self, equation, backend):
        for _ in range(50):
            self.act()


class OverParameters(_Calls):
    """Four thousand passes over 3136 parameters: a mean, its gradient, an optimiser's step."""

    params = (list(OVER_PARAMETERS), BACKENDS)
    param_names = ("equation", "backend")

    def setup(self, equation, backend):
        require_backend(backend)
        self.prepare(OVER_PARAMETERS[equation](Draw(), backend))

    def time_4000_calls(self, equation, backend):
        for _ in range(4000):
            self.act()


class Sparse(_Calls):
    """Two hundred calls on inputs of which one in thirty is not 0: there is a tiled form only."""

    params = list(SPARSE)
    param_names = ("equation",)

    def setup(self, equation):
        self.prepare(SPARSE[equation](Draw()))

    def time_200_calls(self, equation):
        for _ in range(200):
            self.act()


class Embeddings(_Calls):
    """Ten calls on numbers in pieces; the tiled form has tables in their place."""

    params = (list(EMBEDDINGS), [backend for backend in BACKENDS if backend != "tiled"])
    param_names = ("equation", "backend")

    def setup(self, equation, backend):
        require_backend(backend)
        self.prepare(EMBEDDINGS[equation](Draw(), backend))

    def time_10_calls(self, equation, backend):
        for _ in range(10):
            self.act()
