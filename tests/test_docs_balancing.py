"""`docs/balancing.md`: its tables name every method, its code runs."""

import inspect
import re
from pathlib import Path

import kmtl
from kmtl.balancing import GradientBalancing, LossBalancing
from kmtl.testing import check_balancing

TEXT = (Path(__file__).parents[1] / "docs" / "balancing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def methods_of(kind):
    """The public methods of a kind, by name."""
    members = {name: getattr(kmtl.balancing, name) for name in kmtl.balancing.__all__}
    return {
        name
        for name, member in members.items()
        if inspect.isclass(member) and issubclass(member, kind) and member is not kind
    }


def names_in(section):
    """The names in the first column of the table of a section."""
    text = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)\(\)` \|", text, re.MULTILINE)


def test_the_tables_name_every_method_once():
    by_losses, by_gradients = names_in("By losses"), names_in("By gradients")
    assert sorted(by_losses) == sorted(methods_of(LossBalancing))
    assert sorted(by_gradients) == sorted(methods_of(GradientBalancing))


def test_the_first_block_turns_a_method_on_and_off():
    scope = {}
    exec(BLOCKS[0], scope)
    assert scope["model"].task_names == ["rich", "age"]


def test_the_method_of_ones_own_is_one():
    scope = {}
    exec(BLOCKS[1], scope)
    check_balancing(scope["SquareRoot"](), task_counts=(2,), xla=False)
