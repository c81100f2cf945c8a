"""Methods without a state that divide by something, or by nothing."""

import numpy as np
import pytest
from steps import a_step

from kmtl.balancing import FixedWeights, NormalizedLosses, ScaleInvariant


def test_fixed_weights_are_one():
    weights, state = FixedWeights()(a_step([0.1, 7.0, 0.0]), {})
    np.testing.assert_array_equal(weights, np.ones(3))
    assert state == {}


@pytest.mark.parametrize("losses", [[0.5, 4.0], [1e-30, 1e30]])
def test_scale_invariant_weights_make_every_loss_one(losses):
    weights, _ = ScaleInvariant()(a_step(losses), {})
    np.testing.assert_allclose(weights * losses, [1.0, 1.0])


def test_losses_are_divided_by_those_of_constants():
    constants = np.array([np.log(2), 1.0, 1e-4])
    step = a_step([0.3, 0.7, 0.5], constant_losses=constants)
    weights, _ = NormalizedLosses()(step, {})
    np.testing.assert_allclose(weights * constants, np.ones(3))


def test_a_task_whose_labels_are_all_equal_keeps_weight_one():
    step = a_step([0.3, 0.7], constant_losses=np.array([0.0, 0.5]))
    weights, _ = NormalizedLosses()(step, {})
    np.testing.assert_allclose(weights, [1.0, 2.0])


def test_only_normalized_losses_ask_for_constants():
    assert NormalizedLosses.sees_constant_losses
    assert not ScaleInvariant.sees_constant_losses
