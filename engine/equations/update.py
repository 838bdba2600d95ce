"""One step on the flat parameter vector.

U1  gradient descent    theta <- theta - eta dtheta
"""

from engine._jit import jit


def gradient_descent_numpy(theta, dtheta, learning_rate):
    """Move theta, in place, by one step against its gradient."""
    theta -= learning_rate * dtheta  # U1


@jit
def gradient_descent_loops(theta, dtheta, learning_rate):
    """Move theta, in place, by one step against its gradient."""
    for p in range(theta.size):
        theta[p] -= learning_rate * dtheta[p]  # U1
