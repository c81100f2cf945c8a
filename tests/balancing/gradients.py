"""Gradients of tasks, one a row, and their Gramians as a training step makes them."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf
from steps import a_step


def of_rank(tasks, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(tasks, rank)) @ rng.normal(size=(rank, 64))


def related(tasks, seed=0):
    """A common part, eight factors and noise: positive cosines, some conflict."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=256) * 0.5
    factors = rng.normal(size=(tasks, 8)) @ rng.normal(size=(8, 256)) * 0.25
    lengths = np.exp(rng.normal(size=(tasks, 1)) * 0.5)
    return lengths * (shared + factors + rng.normal(size=(tasks, 256)) * 0.6)


def opposed(tasks, noise=0.01, seed=0):
    """Nearly one line, in both directions: projected Gauss-Seidel stalls on 40."""
    rng = np.random.default_rng(seed)
    signs = np.resize([1.0, -1.0], tasks)[:, None] * rng.uniform(0.5, 2, (tasks, 1))
    return signs * rng.normal(size=64) + noise * rng.normal(size=(tasks, 64))


def in_a_half_space(tasks, seed=0):
    """Barely any direction is good for all: the hardest that was found for MGDA."""
    rng = np.random.default_rng(seed)
    signs = np.where(rng.random((tasks, 32)) < 0.4, -1, 1)
    return np.abs(rng.normal(size=(tasks, 32))) * signs


def of_many_lengths(tasks, seed=0):
    lengths = 10 ** np.random.default_rng(seed).uniform(-3, 3, (tasks, 1))
    return opposed(tasks, noise=0.1, seed=seed) * lengths


def stationary(tasks, seed=0):
    """Gradients whose sum is 0."""
    rows = related(tasks, seed)
    return rows - rows.mean(0)


def stretched(rows, decades, seed=0):
    """Gradients whose lengths differ by so many powers of ten."""
    powers = np.random.default_rng(seed).uniform(0, decades, (len(rows), 1))
    return rows * 10.0**powers


def gramian(jacobian):
    """In float32, as it is computed in training: eigenvalues of 0 are none."""
    rows = np.asarray(jacobian, "float32")
    return (rows @ rows.T).astype("float64")


def weigh(method, gramian, *, present=None, losses=None):
    """The weights of a stateless method, compiled once for each number of tasks."""
    step = a_step(losses, gramian=gramian, present=present)
    return _compiled(method)(step.gramian, step.present, step.losses).numpy()


def weigh_each(method, gramians):
    """The weights for several Gramians, `(kinds, tasks)`."""
    return np.stack([weigh(method, gramian) for gramian in gramians])


@functools.cache
def _compiled(method):
    @tf.function
    def weigh(gramian, present, losses):
        known = {"gramian": gramian, "present": present, "losses": losses}
        step = dataclasses.replace(a_step(np.ones(len(present))), **known)
        return method(step, {})[0]

    return weigh


GOLDEN = np.array([[18.0, -22.0], [-22.0, 38.0]])  # of [[-4, 1, 1], [6, 1, 1]]
SOME = np.stack(  # Gramians of 5 tasks, `(kinds, 5, 5)`
    [
        gramian(of_rank(5, 1)),
        gramian(of_rank(5, 3)),
        gramian(of_rank(5, 64)),
        gramian(related(5)),
        gramian(opposed(5)),
        gramian(of_many_lengths(5)),
        gramian(of_rank(5, 4) * 1e-10),
        gramian(of_rank(5, 4) * 1e15),
    ]
)
RANK_3, FULL_RANK = SOME[1:3]
MANY = {
    "rank 3": lambda tasks: of_rank(tasks, 3),
    "full rank": lambda tasks: of_rank(tasks, 64),
    "related": related,
    "opposed": opposed,
    "mildly opposed": lambda tasks: opposed(tasks, noise=0.1),
    "half-space": in_a_half_space,
    "many lengths": of_many_lengths,
}
