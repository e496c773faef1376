import dataclasses
import json
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.cell_set import CellSet
from scfm_core.dataset import open_dataset
from scfm_core.errors import Cancelled, DatasetError, ModelError, RequestError, ScfmError
from scfm_core.model import EmbedOptions
from scfm_core.registry import find_model
from scfm_core.request import Request, recipe
from scfm_core.tokens import Delete
from tests.counting_requests import Square, SumOfSquares

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ask(Request[int]):
    value: object = None
    result_type: ClassVar[type] = int

    def run(self, context):
        return 0


@dataclass(frozen=True)
class AskAnew(Request[int]):
    value: object = None
    result_type: ClassVar[type] = int
    version: ClassVar[int] = 2

    def run(self, context):
        return 0


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)


@given(values, values)
def test_identities_are_equal_exactly_for_equal_recipes(one, other):
    same = json.dumps(recipe(one)) == json.dumps(recipe(other))
    assert (Ask(one).identity == Ask(other).identity) == same
    assert Ask(one).identity == Ask(one).identity


@given(st.text(), st.integers())
def test_every_field_counts(label, n):
    base = Square("folder", n=3, label="a")
    assert (dataclasses.replace(base, label=label).identity == base.identity) == (label == "a")
    assert (dataclasses.replace(base, n=n).identity == base.identity) == (n == 3)


def test_a_number_is_not_its_text_and_true_is_not_one():
    assert len({Ask(value).identity for value in (1, "1", True, 1.0, None, (1,), "None")}) == 7


def test_the_class_and_its_version_count():
    assert Ask(1).identity != AskAnew(1).identity
    assert recipe(AskAnew(1))["version"] == 2


@dataclass(frozen=True)
class AskBack(Request[int]):
    question: Request[int]
    result_type: ClassVar[type] = int

    def run(self, context):
        return 0


@dataclass(frozen=True)
class AskBackTwice(AskBack):
    pass


def test_a_field_called_question_does_not_hide_the_class():
    assert recipe(AskBack(Ask(1)))["question"] == "AskBack"
    assert AskBack(Ask(1)).identity != AskBackTwice(Ask(1)).identity
    assert AskBack(Ask(1)).identity != AskBack(Ask(2)).identity


def test_a_nested_question_counts():
    square = Square("folder")
    assert SumOfSquares(square).identity != SumOfSquares(Square("folder", n=6)).identity
    assert recipe(SumOfSquares(square))["squares"] == recipe(square)


@pytest.mark.parametrize("value", [[1], {1: 2}, {1}, np.arange(3), np.int64(3), object(), lambda: 0, Path()])
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(RequestError, match="holds plain values"):
        _ = Ask(value).identity


def test_an_identity_survives_pickling_and_another_process(tiny_dataset):
    question = ProjectCells(EmbedCells(tiny_dataset, find_model("pca")), seed=3)
    assert pickle.loads(pickle.dumps(question)) == question
    assert pickle.loads(pickle.dumps(question)).identity == question.identity
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from scfm_core.analyses.embed_cells import EmbedCells\n"
        "from scfm_core.analyses.project_cells import ProjectCells\n"
        "from scfm_core.dataset import open_dataset\n"
        "from scfm_core.registry import find_model\n"
        "print(ProjectCells(EmbedCells(open_dataset(Path(sys.argv[1])), find_model('pca')), seed=3).identity)\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(tiny_dataset.path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == question.identity


def test_a_dataset_counts_by_content_wherever_it_lies(tiny_dataset, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in tiny_dataset.path.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    model = find_model("pca")
    assert EmbedCells(open_dataset(moved), model).identity == EmbedCells(tiny_dataset, model).identity


def test_options_left_out_are_those_that_are_recommended(tiny_dataset):
    model = find_model("scfm-mini")
    assert EmbedCells(tiny_dataset, model) == EmbedCells(tiny_dataset, model, model.default_options())
    other = EmbedOptions(layer=model.default_layer, pooling=model.poolings[0], precision="bfloat16")
    assert EmbedCells(tiny_dataset, model, other).identity != EmbedCells(tiny_dataset, model).identity


def test_a_question_is_hashable_and_printable(tiny_dataset):
    cells = CellSet.from_mask("some", np.arange(tiny_dataset.n_cells) < 7)
    edits = ((Delete(tiny_dataset.gene_ids[0]),),)
    question = PerturbGenes(EmbedCells(tiny_dataset, find_model("pca")), edits, cells)
    assert question in {question}
    assert "find_model('pca')" in repr(question)
    assert "CellSet('some', 7 of 120 cells)" in repr(question)
    assert json.loads(json.dumps(recipe(question)))["question"] == "PerturbGenes"


@pytest.mark.parametrize("kind", [ScfmError, DatasetError, ModelError, RequestError, Cancelled])
def test_an_error_travels_whole(kind):
    error = pickle.loads(pickle.dumps(kind("Expected this, found that.", "a-code")))
    assert type(error) is kind
    assert (str(error), error.code) == ("Expected this, found that.", "a-code")
    assert kind("words alone").code == ""
