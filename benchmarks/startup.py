"""What a user waits for before the first result: whole processes."""

XNOR = """
import numpy as np
from engine import Network, train
X, Y = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]), np.array([1, 0, 0, 1])
network = Network((2, 4, 1))
result = train(network, X, Y, solver="gd", learning_rate=0.5, max_iter=400, backend={backend!r})
assert result.history["cost"][-1] < 0.5 * result.history["cost"][0]
"""

# The child's own folder, gone with it, so that it compiles whatever ran before.
EMPTY_CACHE = """
import atexit, os, shutil, tempfile
folder = tempfile.mkdtemp()
atexit.register(shutil.rmtree, folder, True)
os.environ["NUMBA_CACHE_DIR"] = folder
"""


class _Process:
    """A process of its own for each sample: nothing is loaded or compiled before."""

    version = "1"
    timeout = 240
    number = 1
    rounds = 1
    warmup_time = 0


class Imports(_Process):
    """`import engine`, which loads its names on first use; the two that train; numba by itself."""

    repeat = 7

    def timeraw_import_engine(self):
        return "import engine"

    def timeraw_import_network_and_train(self):
        return "from engine import Network, train"

    def timeraw_import_numba(self):
        return "import numba"


class FirstResult(_Process):
    """A new process that trains XNOR by compiled loops; tiled where that is the default."""

    repeat = 4

    def setup_cache(self):
        """Fill this commit's cache, so that the warm start finds all that it needs."""
        from engine import Network  # noqa: F401  (a commit without it fails here, and says so)

        exec(XNOR.format(backend=fastest()), {})
        return fastest()

    def timeraw_warm_cache(self, backend):
        return XNOR.format(backend=backend)


class FirstCompile(_Process):
    """The same with an empty cache: what installing the package costs once."""

    repeat = 2

    def timeraw_empty_cache(self):
        return EMPTY_CACHE + XNOR.format(backend=fastest())


def fastest():
    """The backend that compiled training takes on this commit."""
    from engine.equations.backends import BACKENDS

    return "tiled" if "tiled" in BACKENDS else "loops"
