"""CellTypist's pickles: read to the number, everything unexpected is refused, and nothing of a file runs."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scfm_core.checkpoints.celltypist import read_published, read_weights, write_weights
from scfm_core.checkpoints.pickled_objects import KeptObject, read_objects
from scfm_core.errors import ModelError
from tests.checkpoints.test_pickled import ATTACKS, NEEDLESS, name, text

GOLDEN = Path(__file__).parents[1] / "models" / "golden" / "celltypist"
KIND = "sklearn.preprocessing._data.StandardScaler"
SCALER = name("sklearn.preprocessing._data", "StandardScaler")
RECONSTRUCT, NDARRAY = name("numpy._core.multiarray", "_reconstruct"), name("numpy", "ndarray")
DTYPE = name("numpy", "dtype")
# Nothing but allowed instructions and names, put together as no model is.
BENT = {
    "scaler-with-arguments": b"\x80\x04" + SCALER + text("a") + b"\x85R.",
    "scaler-with-slots": b"\x80\x04" + SCALER + b")\x81" + text("a") + b"b.",
    "state-of-a-dictionary": b"\x80\x04}}" + text("a") + text("b") + b"sb.",
    "array-from-a-class": b"\x80\x04" + NDARRAY + b")R.",
    "call-of-text": b"\x80\x04" + text("system") + b")R.",
    "a-name-of-numbers": b"\x80\x04K\x01K\x02\x93.",
    "key-that-is-no-text": b"\x80\x04}K\x01K\x02s.",
    "object-array-with-objects": b"\x80\x04" + RECONSTRUCT + b")R(K\x01K\x01\x85" + DTYPE + text("O8")
    + b"\x89\x88\x87R\x89]K\x07atb.",
    "format-that-runs": b"\x80\x04" + DTYPE + text("V8,(999999999,)f8") + b"\x89\x88\x87R.",
    "content-too-short": b"\x80\x04" + RECONSTRUCT + b")R(K\x01K\x63\x85" + DTYPE + text("f8")
    + b"\x89\x88\x87R\x89C\x08" + bytes(8) + b"tb.",
    "mark-as-a-value": b"\x80\x04(}(\x86.",
    "nothing": b"\x80\x04.",
    "cut-off": b"\x80\x04}" + text("a"),
    "values-left-over": b"\x80\x04}}.",
    "memory-that-is-empty": b"\x80\x04h\x07.",
}  # fmt: skip


REFUSED = ("unsafe-pickle", "broken-model", "no-celltypist-model")


def in_file(folder: Path, content: bytes) -> Path:
    path = folder / "model.pkl"
    path.write_bytes(content)
    return path


def code_of(path: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_published(path)
    assert path.name in str(error.value)
    return error.value.code


@pytest.mark.parametrize("attack", [*ATTACKS, *NEEDLESS])
def test_what_calls_something_is_refused_and_nothing_runs(tmp_path: Path, monkeypatch, attack: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = in_file(tmp_path, {**ATTACKS, **NEEDLESS}[attack])
    assert code_of(path) in REFUSED
    assert sorted(found.name for found in tmp_path.iterdir()) == ["model.pkl"]


@pytest.mark.parametrize("content", BENT.values(), ids=BENT)
def test_allowed_instructions_bent_to_something_else_are_refused(tmp_path: Path, content: bytes) -> None:
    assert code_of(in_file(tmp_path, content)) in REFUSED


@pytest.mark.parametrize("at", range(20, 43000, 977))
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, at: int) -> None:
    assert code_of(in_file(tmp_path, (GOLDEN / "blood.pkl").read_bytes()[:at])) == "broken-model"


@pytest.mark.parametrize("seed", range(60))
def test_a_file_with_a_changed_byte_is_read_or_refused_and_never_breaks_the_reader(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    content = bytearray((GOLDEN / "blood.pkl").read_bytes())
    for place in random.integers(0, len(content), 3):
        content[place] = random.integers(0, 256)
    path = in_file(tmp_path, bytes(content))
    outcome = ""
    try:
        found = read_published(path)
    except ModelError as error:
        outcome = error.code
    assert outcome in REFUSED or (not outcome and found.coefficients.shape == (9, 400))


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ({"Model": 1}, "int instead of LogisticRegression"),
        ({"Scaler_": "text"}, "str instead of StandardScaler"),
        ([1, 2], "TypeError"),
        ({}, "KeyError"),
    ],
)
def test_a_dictionary_of_something_else_is_told_apart(tmp_path: Path, part: object, other: str) -> None:
    with pytest.raises(ModelError, match="Expected a CellTypist model") as error:
        read_published(in_file(tmp_path, pickle.dumps(part, protocol=4)))
    assert error.value.code == "no-celltypist-model"


def test_python_agrees_on_every_number_of_the_recorded_model() -> None:
    """Python's own reader, in a process of its own, on a file that we made ourselves."""
    code = (
        "import pickle, sys, numpy as np\n"
        "class Any: pass\n"
        "class Reader(pickle.Unpickler):\n"
        "    def find_class(self, module, name):\n"
        "        return super().find_class(module, name) if module.startswith('numpy') else Any\n"
        "found = Reader(open(sys.argv[1], 'rb')).load()\n"
        "m, s = found['Model'], found['Scaler_']\n"
        "np.savez(sys.stdout.buffer, coef=m.coef_, intercept=m.intercept_, scale=s.scale_, mean=s.mean_,\n"
        "         classes=m.classes_.astype(str), genes=np.asarray(m.features).astype(str))\n"
    )
    for model in ("blood", "two_types"):
        path = GOLDEN / f"{model}.pkl"
        run = [sys.executable, "-W", "ignore", "-c", code, str(path)]
        written = subprocess.run(run, capture_output=True, check=True).stdout
        expected = np.load(io.BytesIO(written))
        found = read_published(path)
        np.testing.assert_array_equal(found.coefficients, expected["coef"])
        np.testing.assert_array_equal(found.intercepts, expected["intercept"])
        np.testing.assert_array_equal(found.scale, expected["scale"])
        np.testing.assert_array_equal(found.mean, expected["mean"])
        assert list(found.classes) == expected["classes"].tolist()
        assert list(found.genes) == expected["genes"].tolist()


def test_a_scaler_that_does_not_centre_has_no_mean() -> None:
    assert not read_published(GOLDEN / "blood_sgd.pkl").mean.any()
    assert read_published(GOLDEN / "blood.pkl").mean.any()


def test_arrays_are_read_as_numpy_writes_them(tmp_path: Path) -> None:
    arrays = {
        "c": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "flags": np.array([True, False]),
        "names": np.array(["a", "Ωb"]),
        "objects": np.array(["a", "b"], dtype=object),
        "number": np.float64(0.5),
        "whole": np.int64(-3),
    }
    for protocol in (3, 4):
        found = read_objects(in_file(tmp_path, pickle.dumps(arrays, protocol=protocol)), kinds=(), largest=10_000)
        for key in ("c", "fortran", "big", "flags", "names"):
            np.testing.assert_array_equal(found[key], arrays[key])
        assert found["objects"] == ["a", "b"]
        assert (found["number"], found["whole"]) == (0.5, -3)


def test_numpys_old_name_is_known(tmp_path: Path) -> None:
    content = (GOLDEN / "blood.pkl").read_bytes()
    today, before = text("numpy._core.multiarray"), text("numpy.core.multiarray")
    assert today in content
    content = content.replace(today, before)
    frame = content.index(b"\x95") + 1
    size = int.from_bytes(content[frame : frame + 8], "little") - 1
    content = content[:frame] + size.to_bytes(8, "little") + content[frame + 8 :]
    np.testing.assert_array_equal(
        read_published(in_file(tmp_path, content)).coefficients, read_published(GOLDEN / "blood.pkl").coefficients
    )


def test_an_object_is_kept_as_its_name(tmp_path: Path) -> None:
    content = b"\x80\x04" + SCALER + b")\x81}" + text("with_mean") + b"\x88sb."
    found = read_objects(in_file(tmp_path, content), kinds=(KIND,), largest=1000)
    assert isinstance(found, KeptObject)
    assert (found.kind, found.attributes) == (KIND, {"with_mean": True})


def test_weights_come_back_as_they_were_written(tmp_path: Path) -> None:
    weights = read_published(GOLDEN / "blood.pkl")
    write_weights(tmp_path, weights, {"name": "blood.pkl"})
    again = read_weights(tmp_path)
    np.testing.assert_array_equal(again.coefficients, weights.coefficients)
    assert (again.classes, again.genes, again.description) == (weights.classes, weights.genes, weights.description)
