"""`docs/tensorflow_addons.md`: every name exists, none is left out, its code runs."""

import inspect
import json
import pkgutil
import re
from pathlib import Path

import keras
import numpy as np
import pytest

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "tensorflow_addons.md").read_text(encoding="utf-8")
GOLDEN = TESTS / "data" / "tensorflow_addons_golden.json"
PUBLIC = json.loads(GOLDEN.read_text(encoding="utf-8"))["public_names"]
ROWS = re.findall(r"^\| (`.+?) \| (.+?) \| (.*?)\|$", TEXT, re.MULTILINE)
# `keras.layers.Dense`, also inside a formula, with `name=` arguments if there are any.
SYMBOL = re.compile(r"\b((?:keras|kmtl)(?:\.\w+)+)(\((?:\w+=(?:, )?)+\))?")
SYMBOLS = sorted(set(SYMBOL.findall(" ".join(" ".join(row) for row in ROWS))))
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_every_row_of_the_tables_is_read():
    lines = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert len(ROWS) == len(lines) > 60


def test_every_name_and_argument_exists():
    for name, arguments in SYMBOLS:
        symbol = pkgutil.resolve_name(name)
        known = inspect.signature(symbol).parameters if arguments else ()
        unknown = set(re.findall(r"\w+", arguments)) - set(known)
        assert not unknown, name


def test_only_public_modules_are_named():
    assert not [name for name, _ in SYMBOLS if ".src" in name or "._" in name]


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_every_public_name_of_tensorflow_addons_has_a_row(module):
    section = TEXT.split(f"### {module.capitalize()}\n")[1].split("\n#")[0]
    first_cells = " ".join(re.findall(r"^\| (`.+?) \|", section, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", first_cells)) == set(PUBLIC[module])


def test_rows_without_a_counterpart_say_what_to_do():
    assert all(remedy.strip() for _, use, remedy in ROWS if use == "-")


def test_the_examples_print_what_the_page_shows(capsys):
    for block in BLOCKS:
        exec(block, {"__name__": "example"})
    assert f"```text\n{capsys.readouterr().out}```" in TEXT


def test_the_callback_of_the_page_stops_the_training():
    scope = {"__name__": "example"}
    exec(BLOCKS[0], scope)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    stop = scope["TimeStopping"](seconds=0)
    history = model.fit(
        np.ones((2, 1)), np.ones((2, 1)), epochs=3, callbacks=[stop], verbose=0
    )
    assert len(history.epoch) == 1


def test_a_noise_shape_drops_whole_rows():
    branch = keras.layers.Dropout(0.5, noise_shape=(None, 1))(
        np.ones((50, 4)), training=True
    )
    assert set(np.unique(np.sum(branch, axis=1))) == {0.0, 8.0}


def test_keras_multiplies_weight_decay_by_the_learning_rate():
    weight = keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.apply([np.zeros(1, "float32")], [weight])
    np.testing.assert_allclose(weight, [1.0 - 0.1 * 0.5])
