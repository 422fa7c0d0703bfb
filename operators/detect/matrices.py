"""Small dense matrices as lists of rows: what a detector needs without the weight of numpy for each row."""

import math


def inverted(correlation: list[list[float]], ridge: float) -> list[list[float]]:
    """The inverse of a correlation matrix with `ridge` added to its diagonal; with more, until it is positive definite.

    Estimates from pairs of unequal length need not be correlations of anything. By Cholesky's decomposition, which is
    what tells: n³ steps for n rows.

    >>> inverted([[1.0, 0.0], [0.0, 1.0]], 3.0)
    [[0.25, 0.0], [0.0, 0.25]]
    """
    size = len(correlation)
    while True:
        root = [[0.0] * size for _ in range(size)]
        sound = True
        for i in range(size):
            line = root[i]
            for j in range(i + 1):
                other = root[j]
                rest = correlation[i][j] - sum([line[k] * other[k] for k in range(j)])
                if i != j:
                    line[j] = rest / other[j]
                elif rest + ridge > 0.5 * ridge:
                    line[j] = math.sqrt(rest + ridge)
                else:
                    sound = False
            if not sound:
                break
        if sound:
            break
        ridge *= 4.0
    lower = [[0.0] * size for _ in range(size)]
    for column in range(size):
        for i in range(column, size):
            start = 1.0 if i == column else 0.0
            rest = start - sum([root[i][k] * lower[k][column] for k in range(column, i)])
            lower[i][column] = rest / root[i][i]
    return [
        [sum([lower[k][i] * lower[k][j] for k in range(max(i, j), size)]) for j in range(size)] for i in range(size)
    ]
