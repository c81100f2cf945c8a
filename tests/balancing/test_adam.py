"""One learned number a task."""

import keras
import numpy as np

from kmtl.balancing._adam import learn, learned

GRADIENTS = np.array([[0.5, -2.0], [0.1, 3.0], [-4.0, 0.3], [0.2, 0.2]])


def test_steps_are_those_of_keras_adam():
    state = learned(2)
    variable = keras.Variable(np.zeros(2), dtype="float64")
    adam = keras.optimizers.Adam(0.01, epsilon=1e-9)
    for gradient in GRADIENTS:
        state = learn(state, gradient, np.ones(2), 0.01)
        adam.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        np.testing.assert_allclose(state["learned"], variable, rtol=1e-5)


def test_a_task_that_waits_goes_on_where_it_was():
    seen, waited = learned(2), learned(2)
    for number, gradient in enumerate(GRADIENTS):
        here = np.array([1.0, number % 2])
        waited = learn(waited, gradient, here, 0.01)
    for gradient in GRADIENTS[1::2]:
        seen = learn(seen, gradient, np.ones(2), 0.01)
    for name, array in waited.items():
        np.testing.assert_allclose(array[1], seen[name][1], rtol=1e-12)
    np.testing.assert_array_equal(waited["updates"], [4, 2])


def test_it_keeps_what_else_is_in_the_state():
    state = {**learned(1), "factor": np.array([0.5])}
    assert learn(state, np.ones(1), np.ones(1), 0.01).keys() == state.keys()
