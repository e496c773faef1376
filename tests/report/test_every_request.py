"""What holds for every kind of question: it can be written as source that builds it again, and told in words."""

from pathlib import Path

import pytest

from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.report.code import source_of
from scfm_core.report.provenance import provenance
from scfm_core.report.wording import known_wordings, wording
from scfm_core.report.written_methods import write_methods
from tests.report.every_request import a_question, request_classes, some_groupings

KINDS = request_classes()
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture
def here(tiny_dataset, demo_dataset, tmp_path, monkeypatch):
    """A workspace in which the datasets lie."""
    folder = tmp_path / "datasets"
    folder.mkdir()
    for dataset in (tiny_dataset, demo_dataset):
        (folder / dataset.sha256).symlink_to(dataset.path)
    monkeypatch.setenv("SCFM_WORKSPACE", str(tmp_path))
    return tmp_path


def built(source: str) -> object:
    namespace: dict[str, object] = {}
    exec(compile(source, "<source>", "exec"), namespace)
    return namespace["question"]


@every
def test_source_builds_an_equal_question(kind, tiny_dataset, demo_dataset, here):
    question = a_question(kind, tiny_dataset, demo_dataset)
    again = built(source_of(question))
    assert again.identity == question.identity
    assert type(again) is kind


@every
def test_source_keeps_to_lines_that_can_be_read(kind, tiny_dataset, demo_dataset):
    for line in source_of(a_question(kind, tiny_dataset, demo_dataset)).splitlines():
        assert len(line) <= 300, line[:80]


@every
def test_methods_are_written_down(kind, tiny_dataset, demo_dataset):
    question = a_question(kind, tiny_dataset, demo_dataset)
    words = wording(question)
    methods = write_methods([question])
    assert words.test
    assert words.correction
    assert len(words.text) > 40
    text = methods.text.replace("A {wolf2018} {b}", "").replace("{b}", "")
    assert not [piece for piece in text.split() if "{" in piece or "}" in piece]
    assert all(f"[{number}]" in methods.text for number in range(1, len(methods.cited) + 1))
    assert all(work.doi or work.url for work in methods.cited)
    assert methods.bibtex.count("@") == len(methods.cited)


@every
def test_a_table_says_test_correction_n_and_versions(kind, tiny_dataset, demo_dataset):
    about = provenance(None, a_question(kind, tiny_dataset, demo_dataset))
    for name in ("test", "correction", "versions", "question", "answer"):
        assert about[name], name
    assert about["n"] or "dataset sha256" not in about


def test_no_words_are_left_of_questions_that_are_gone():
    assert set(known_wordings()) == {kind.__name__ for kind in KINDS}


def test_other_groupings_can_be_written_too(tiny_dataset, demo_dataset, here):
    for grouping in some_groupings(tiny_dataset):
        question = FindMarkers(tiny_dataset, grouping)
        assert built(source_of(question)).identity == question.identity
        assert "{" not in write_methods([question]).text


def test_another_dataset_is_refused(tiny_dataset, demo_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("SCFM_WORKSPACE", str(tmp_path / "empty"))
    question = a_question(KINDS[[kind.__name__ for kind in KINDS].index("FindMarkers")], tiny_dataset, demo_dataset)
    with pytest.raises(SystemExit, match="not in the workspace"):
        built(source_of(question))


def test_no_path_of_this_machine_stands_in_the_source(tiny_dataset, demo_dataset):
    for kind in KINDS:
        assert str(Path(tiny_dataset.path).parent) not in source_of(a_question(kind, tiny_dataset, demo_dataset))
