"""A wrong `balancing` is named, with what to do; and the model stays as it was."""

import keras
import numpy as np
import pytest
from balanced import TASKS, balanced, state_of, train
from small import build

from kmtl import sharing
from kmtl.balancing import DWA, FAMO, GLS, MGDA, UPGrad

WRONG = [
    ("uw", TypeError, r"`kmtl\.balancing\.GLS\(\)`\. Received: 'uw'"),
    (GLS, TypeError, r"a method such as .* Received: <class .*GLS"),
    (lambda losses: losses, TypeError, r"a method such as .* Received: <function"),
    ({"buy": 1.0}, TypeError, r"a method such as .* Received: \{'buy'"),
    (FAMO(min_losses={"bye": 0.1}), ValueError, r"'bye'.*Did you mean 'buy'"),
]


@pytest.fixture(scope="module")
def model():
    model = balanced(DWA(0.1))
    train(model)
    return model


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG)
def test_what_is_no_method_is_refused(model, wrong, error, message):
    optimizer, metrics, state = model.optimizer, model.task_metrics, state_of(model)
    with pytest.raises(error, match=message):
        model.compile("adam", balancing=wrong, loss_weights={"buy": 7.0})
    with pytest.raises(error, match=message):
        build(TASKS, balancing=wrong)
    assert (model.optimizer, model.task_metrics) == (optimizer, metrics)
    assert model.balancing == DWA(0.1)
    assert model.loss_weights["buy"] == 1.0
    np.testing.assert_equal(state_of(model), state)


@pytest.mark.parametrize("wrong", [{"optimizer": "bye"}, {"loss_weights": {"bye": 1}}])
def test_a_method_beside_another_wrong_argument_is_not_taken(model, wrong):
    with pytest.raises(ValueError, match="bye"):
        model.compile(**wrong, balancing=GLS())
    assert model.balancing == DWA(0.1)
    train(model)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"at": "trunk"}, r"`at` must be one of .*'representation'.*'trunk'"),
        ({"every": 0}, r"`every` must be .* Received: 0"),
        ({"every": 1.5}, r"`every` must be .* Received: 1\.5"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        MGDA(**settings)


def test_gradients_are_not_balanced_where_nothing_is_shared():
    model = build(TASKS, sharing=sharing.Soft())
    for at in ("representation", "shared"):
        with pytest.raises(ValueError, match=r"kmtl\.sharing\.Soft.*GLS\(\)"):
            model.compile(balancing=UPGrad(at=at))
    model.compile(balancing=GLS())
    train(model, steps=1)


def test_cross_stitch_networks_are_balanced_at_their_weights():
    model = build(TASKS, sharing=sharing.CrossStitch())
    with pytest.raises(ValueError, match=r'`at="shared"`.*"representation"'):
        model.compile(keras.optimizers.Adam(), balancing=UPGrad())
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    model.compile(balancing=UPGrad(at="shared"))
    train(model, steps=1)
    assert any(weight != 1.0 for weight in model.task_weights.values())
