"""Mixed precision, XLA, graphs and seeds change nothing but the speed."""

import keras
import numpy as np
import pytest
from small import TRUNK, evaluate, some_inputs, some_labels, some_tasks

import kmtl

SLOW = pytest.mark.slow
X = some_inputs(24)
Y = some_labels(some_tasks(), 24)


def trained(epochs=2, optimizer="adam", **settings):
    """Trains three batches an epoch; returns model, logs and predictions."""
    keras.utils.set_random_seed(0)
    model = kmtl.build_mtl_model(
        (4,), some_tasks(), trunk=TRUNK, head_units=(6,), optimizer=optimizer
    )
    model.compile(**settings)
    history = model.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, shuffle=False)
    return model, history.history, model.predict(X, verbose=0)


@pytest.fixture(scope="module")
def eager():
    return trained(run_eagerly=True)[1:]


@pytest.fixture(params=["mixed_float16", pytest.param("mixed_bfloat16", marks=SLOW)])
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    "jit_compile", [False, *(pytest.param(v, marks=SLOW) for v in (True, "auto"))]
)
def test_compiled_training_equals_eager(eager, jit_compile):
    _, logs, predictions = trained(jit_compile=jit_compile)
    for name, values in eager[0].items():
        assert logs[name] == pytest.approx(values, rel=1e-4)
    for name, values in eager[1].items():
        np.testing.assert_allclose(predictions[name], values, rtol=1e-4)


def test_several_steps_an_execution_change_nothing(eager):
    _, logs, predictions = trained(steps_per_execution=2, jit_compile=False)
    for name, values in eager[0].items():
        assert logs[name] == pytest.approx(values, rel=1e-4)
    for name, values in eager[1].items():
        np.testing.assert_allclose(predictions[name], values, rtol=1e-4)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result():
    def shuffled():
        keras.utils.set_random_seed(7)
        trunk = kmtl.trunks.MLP([8], dropout=0.5)
        model = kmtl.build_mtl_model((4,), some_tasks(), trunk=trunk)
        model.compile(jit_compile=False)
        history = model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
        return history.history, model.predict(X, verbose=0)

    (logs, predictions), (others, other_predictions) = shuffled(), shuffled()
    assert logs == others
    for name, values in predictions.items():
        np.testing.assert_array_equal(values, other_predictions[name])


def test_outputs_are_float32_under_mixed_precision(policy):
    model, logs, predictions = trained(run_eagerly=True)
    assert model.encoder.output.dtype == policy.removeprefix("mixed_")
    assert {values.dtype for values in predictions.values()} == {np.dtype("float32")}
    assert {output.dtype for output in model.output.values()} == {"float32"}
    assert np.isfinite(list(logs.values())).all()


@pytest.mark.usefixtures("policy")
def test_mixed_precision_stays_near_float32(eager):
    _, logs, _ = trained(run_eagerly=True)
    for name in ("loss", "click_loss", "colour_loss", "price_loss"):
        assert logs[name] == pytest.approx(eager[0][name], rel=0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("policy")
def test_mixed_precision_runs_under_xla():
    _, logs, predictions = trained(epochs=1, jit_compile=True)
    assert np.isfinite(logs["loss"]).all()
    assert all(np.isfinite(values).all() for values in predictions.values())


@pytest.mark.usefixtures("policy")
def test_a_mixed_model_comes_back_from_a_file(tmp_path):
    model, _, predictions = trained(run_eagerly=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    actual = loaded.predict(X, verbose=0)
    for name, values in predictions.items():
        np.testing.assert_array_equal(actual[name], values)
    assert evaluate(loaded, X, Y) == evaluate(model, X, Y)


def test_float16_scales_the_loss():
    keras.config.set_dtype_policy("mixed_float16")
    model, _, _ = trained(run_eagerly=True)
    keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def test_large_batches_of_rare_labels_are_summed_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    model = kmtl.build_mtl_model((4,), [kmtl.RegressionTask("a", standardize=False)])
    model.compile(run_eagerly=True)
    rows = 70_000  # float16 ends at 65,504
    logs = evaluate(model, np.zeros((rows, 4)), {"a": np.ones(rows)}, batch_size=rows)
    keras.config.set_dtype_policy("float32")
    assert logs["a_loss"] == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("run_eagerly", [True, pytest.param(False, marks=SLOW)])
def test_running_eagerly_can_be_switched(run_eagerly):
    model, _, _ = trained(epochs=1, run_eagerly=run_eagerly, jit_compile=False)
    model.compile(run_eagerly=not run_eagerly)
    expected = evaluate(model, X, Y)
    model.compile(run_eagerly=run_eagerly)
    assert evaluate(model, X, Y) == pytest.approx(expected, rel=1e-5)
