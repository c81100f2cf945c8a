"""The AUC of many tasks is within 1e-4 of the exact one."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from kmtl._objective import GroupBatch
from kmtl.metrics._auc import AUC

ROWS = 20_000
BATCH = 500


def auc(logits, labels, weights=None):
    """Runs the metric batch by batch: arrays `(rows, tasks)`."""
    weights = np.ones_like(labels) if weights is None else weights
    metric = AUC(labels.shape[1])
    step = step_of(metric)
    state = tf.zeros((labels.shape[1], metric.width), metric.dtype)
    for start in range(0, len(labels), BATCH):
        state = step(
            state, *(a[start : start + BATCH] for a in (logits, labels, weights))
        )
    return metric.result(np.asarray(state))


def step_of(metric):
    @tf.function
    def step(state, logits, labels, weights):
        logits, labels, weights = (
            tf.cast(values, "float32") for values in (logits, labels, weights)
        )
        outputs = tf.sigmoid(logits)[..., None]
        batch = GroupBatch(labels, weights, weights, logits[..., None], outputs)
        return metric.update(state, batch, tf.ones(metric.tasks))

    return step


def scores(positives=0.5, tasks=3):
    """Labels with some share of positives, and logits that know something of them."""
    rng = np.random.default_rng(0)
    labels = (rng.random((ROWS, tasks)) < positives).astype(float)
    logits = rng.normal(size=labels.shape) + labels * np.linspace(0.2, 2.5, tasks)
    return logits, labels


def drift(logits):
    """The centre moves and the spread grows from batch to batch, as in training."""
    time = np.linspace(0.0, 1.0, len(logits))[:, None]
    return logits * (0.05 + 6.0 * time) + 8.0 * time


CASES = {
    "balanced": (0.5, lambda z: z),
    "rare": (0.005, lambda z: z - 5.3),
    "saturated": (0.5, lambda z: 50 * z),
    "narrow": (0.5, lambda z: 0.01 * z),
    "shifted": (0.3, lambda z: z + 100),
    "drifting": (0.3, drift),
    "heavy_tails": (0.3, np.sinh),
}


@pytest.mark.parametrize("case", CASES)
def test_auc_is_within_1e_4_of_the_exact_one(case):
    positives, transform = CASES[case]
    logits, labels = scores(positives)
    logits = transform(logits)
    exact = roc_auc_score(labels, logits, average=None)
    np.testing.assert_allclose(auc(logits, labels), exact, rtol=0, atol=1e-4)


def test_weights_count_as_in_the_exact_one():
    logits, labels = scores(0.3, tasks=1)
    weights = np.random.default_rng(1).integers(0, 4, labels.shape).astype(float)
    exact = roc_auc_score(labels[:, 0], logits[:, 0], sample_weight=weights[:, 0])
    assert auc(logits, labels, weights)[0] == pytest.approx(exact, abs=1e-4)


def test_tasks_do_not_see_each_other():
    logits, labels = scores(0.3, tasks=3)
    together = auc(logits, labels)
    alone = [auc(logits[:, [i]], labels[:, [i]])[0] for i in range(3)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_first_batch_without_a_label_changes_nothing():
    logits, labels = scores(0.3)
    weights = np.ones_like(labels)
    weights[: 2 * BATCH] = 0.0
    kept = slice(2 * BATCH, None)
    exact = roc_auc_score(labels[kept], logits[kept], average=None)
    np.testing.assert_allclose(auc(logits, labels, weights), exact, rtol=0, atol=1e-4)


def test_a_first_batch_of_one_label_keeps_the_precision():
    logits, labels = scores(0.3)
    weights = np.ones_like(labels)
    weights[1:BATCH] = 0.0
    kept = weights[:, 0] > 0
    exact = roc_auc_score(labels[kept], logits[kept], average=None)
    np.testing.assert_allclose(auc(logits, labels, weights), exact, rtol=0, atol=1e-4)


def test_one_class_gives_nan():
    logits, labels = scores()
    assert np.isnan(auc(logits, np.zeros_like(labels))).all()
    assert np.isnan(auc(logits, np.ones_like(labels))).all()


def test_equal_scores_give_one_half():
    _, labels = scores()
    np.testing.assert_allclose(auc(np.zeros_like(labels), labels), 0.5)


def test_perfect_and_reversed_order():
    _, labels = scores()
    np.testing.assert_allclose(auc(4 * labels, labels), 1.0)
    np.testing.assert_allclose(auc(-4 * labels, labels), 0.0)


def test_nothing_seen_gives_nan():
    assert np.isnan(AUC(2).result(np.zeros((2, AUC(2).width)))).all()
