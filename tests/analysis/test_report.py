"""`kmtl.analysis.report`: one page that holds everything and harms nobody."""

import html.parser
import re
import sys

import numpy as np
import pandas as pd
import pytest

import kmtl
from kmtl.analysis import report

pytestmark = pytest.mark.slow

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "path", "rect", "line", "use", "image", "br", "col"}


class Page(html.parser.HTMLParser):
    """Collects tags, attributes and text, and checks that what opens is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def values(self, *names):
        return [value for name, value in self.attributes if name in names]


def people(rows=160):
    rng = np.random.default_rng(0)
    height = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "height": height,
            "<b>colour</b> $x_1$": rng.choice(["red", "green"], rows),
            "tall": np.where(height > 0, "yes", "no"),
            "kind": rng.choice([EVIL, "$a_1$", "plain"], rows),
            "age": np.where(rng.random(rows) < 0.4, np.nan, 40 + 9 * height),
            "extra": rng.normal(size=rows),
        }
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The text of two pages that were made of the same, with all there is to show."""
    frame = people()
    tasks = [
        kmtl.BinaryTask("tall", positive="yes"),
        kmtl.MulticlassTask("kind", metrics=[]),
        kmtl.RegressionTask("age", unit="<i>years</i>", condition_on="tall"),
        kmtl.AuxiliaryTask(kmtl.RegressionTask("extra")),
    ]
    model = kmtl.build_mtl_model(frame, tasks, trunk=kmtl.trunks.MLP([4]))
    model.compile(run_eagerly=True)
    conflict = kmtl.callbacks.GradientConflict()
    conflict.epochs = [0]
    names = model.task_names
    conflict.cosine = conflict.conflict = [pd.DataFrame(0.5, names, names)]
    history = {
        f"{prefix}{task}_loss": [2.0, 1.0, np.nan]
        for task in names
        for prefix in ("", "val_")
    }
    history |= {f"{task}_weight": [1.0, 0.9] for task in names}
    parts = {"train": frame, EVIL: frame[:60]}
    folder = tmp_path_factory.mktemp("pages")
    pages = [
        report(model, history, parts, folder / name, conflict=conflict, title=EVIL)
        for name in ("new/a.html", "b.html")
    ]
    return [page.read_bytes() for page in pages]


@pytest.fixture(scope="module")
def page(written):
    return Page(written[0].decode())


def test_the_same_input_gives_the_same_bytes(written):
    assert written[0] == written[1]


def test_nothing_is_loaded_when_the_page_is_opened(written, page):
    assert b"http" not in written[0]
    assert {"script", "link", "iframe", "object", "img"}.isdisjoint(page.tags)
    links = page.values("href", "src", "xlink:href", "action", "data")
    assert links
    assert {link[0] for link in links if not link.startswith("data:image/png")} == {"#"}
    assert not re.search(rb"url\((?!#)|@import", written[0])


def test_every_tag_is_closed_and_every_link_leads_somewhere(page):
    assert page.open == []
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = {link[1:] for link in page.values("href") if link.startswith("#")}
    assert targets <= set(ids)


def test_names_of_columns_classes_units_parts_and_titles_are_text(written, page):
    assert b"<script" not in written[0]
    assert b"<b>colour" not in written[0]
    assert b"<i>years" not in written[0]
    for name in (EVIL, "<b>colour</b> $x_1$", "$a_1$", "<i>years</i>"):
        assert name in page.text


def test_every_section_is_there(page):
    assert {"summary", "results", "tasks", "network", "balance", "data"} <= set(
        page.values("id")
    )
    for heading in ("Does sharing help?", "Labelled together", "Gradient conflict"):
        assert heading in page.text


def test_what_was_not_measured_is_named_with_the_call_that_does_it(page):
    assert "kmtl.compare(" in page.text
    assert "kmtl.analysis.task_affinity(" in page.text


def test_pictures_have_words(page):
    words = page.values("aria-label")
    assert any(w.startswith("Learning curves of tall") for w in words)
    assert any(w.startswith("Calibration") for w in words)
    assert any(w.startswith("Predicted against true") for w in words)


def test_an_auxiliary_task_and_missing_labels_are_shown(page):
    assert "An auxiliary task is not predicted." in page.text
    assert "age 96" in page.text.replace(" age ", " age ")


@pytest.fixture(scope="module")
def small():
    """An untrained model with one task, and its data as arrays."""
    task = kmtl.BinaryTask("a")
    model = kmtl.build_mtl_model((3,), [task], trunk=kmtl.trunks.MLP([4]))
    model.compile(run_eagerly=True)
    return model, (np.ones((8, 3)), {"a": [0, 1] * 4})


def test_one_task_of_arrays_without_a_history(small, tmp_path):
    page = Page(report(small[0], None, small[1], tmp_path / "a.html").read_text())
    assert "no history given" in page.text
    assert "There is one task." in page.text


def test_baselines_are_compared(small, tmp_path):
    path = tmp_path / "a.html"
    report(small[0], {}, small[1], path, baselines={"a_auc": 0.9})
    assert "Worse than the baseline: a." in Page(path.read_text()).text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": 1}, "`model` must be an MTLModel"),
        ({"history": [1]}, "`history` must be what `model.fit` returns"),
        ({"data": 3}, "`data` must be a DataFrame"),
        ({"data": {}}, "`data` must hold at least one part"),
        ({"data": (np.ones((0, 3)), {"a": []})}, "`data` must have rows"),
        ({"path": ""}, "`path` must be a path"),
        ({"baselines": {"a_acu": 1.0}}, "Did you mean 'a_auc'"),
        ({"conflict": 1}, "`conflict` must be a"),
        ({"conflict": kmtl.callbacks.GradientConflict()}, "have recorded an epoch"),
        ({"comparison": 1}, "`comparison` must be what `kmtl.compare` returns"),
        ({"affinity": 1}, "`affinity` must be what"),
    ],
)
def test_wrong_arguments_are_explained(small, tmp_path, changes, message):
    arguments = {"model": small[0], "history": None, "data": small[1]}
    arguments |= {"path": tmp_path / "a.html", **changes}
    with pytest.raises((TypeError, ValueError), match=message):
        report(**arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["jinja2", "matplotlib.figure"])
def test_a_missing_extra_is_named_before_anything_is_measured(
    small, tmp_path, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'kmtl\[report\]'"):
        report(small[0], None, small[1], tmp_path / "a.html")


def test_a_model_that_is_not_compiled_is_refused(tmp_path):
    model = kmtl.build_mtl_model((3,), [kmtl.BinaryTask("a")])
    model.compiled = False
    with pytest.raises(ValueError, match="needs a compiled model"):
        report(model, None, (np.ones((2, 3)), {"a": [0, 1]}), tmp_path / "a.html")
