"""Hard sharing: one representation for all tasks."""

import keras
import numpy as np
from small import build, some_inputs, some_tasks

import kmtl


def test_all_heads_see_the_same_representation():
    model = build(some_tasks(), sharing=kmtl.sharing.Hard())
    representation = model.encoder.predict(some_inputs(), verbose=0)
    assert representation.shape == (24, 8)
    stacked = model.heads.predict(representation, verbose=0)
    direct = model.predict(some_inputs(), verbose=0)
    click = 1 / (1 + np.exp(-stacked[0][:, 0]))
    np.testing.assert_allclose(click, direct["click"], rtol=1e-5)


def test_hard_sharing_is_the_default():
    default = build(some_tasks()).predict(some_inputs(), verbose=0)
    named = build(some_tasks(), sharing=kmtl.sharing.Hard())
    named = named.predict(some_inputs(), verbose=0)
    for name, values in default.items():
        np.testing.assert_array_equal(named[name], values)


def test_the_trunk_is_applied_once():
    calls = []

    def trunk(x):
        calls.append(x)
        return x

    kmtl.sharing.Hard()(trunk, keras.Input((3,)), some_tasks())
    assert len(calls) == 1


def test_its_size_does_not_depend_on_the_number_of_tasks():
    few, many = (
        build([kmtl.BinaryTask(f"t{i}") for i in range(n)]).encoder.count_params()
        for n in (1, 9)
    )
    assert few == many
    assert kmtl.sharing.Hard() == kmtl.sharing.Hard()
