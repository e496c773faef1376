"""Pickles of strangers: the published kind is read to the number, everything else is refused and nothing of it runs."""

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scfm_core.checkpoints.pickled import read_dictionary
from scfm_core.errors import ModelError


def text(value: str) -> bytes:
    """The instruction that puts a short text on the stack."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def name(module: str, attribute: str) -> bytes:
    """The instructions that put what a name stands for on the stack."""
    return text(module) + text(attribute) + b"\x93"


COMMAND = "touch ran"
SYSTEM = name("os", "system") + text(COMMAND) + b"\x85R"
POPEN_ARGUMENT = b"](" + text("touch") + text("ran") + b"e"
# Pickles that call something, by each instruction that can; Python's own reader runs every one of them.
ATTACKS = {
    "reduce-0": b"cos\nsystem\n(S'touch ran'\ntR.",
    "reduce-4": b"\x80\x04" + SYSTEM + b".",
    "reduce-as-a-value": b"\x80\x04}" + text("a") + SYSTEM + b"s.",
    "reduce-as-a-key": b"\x80\x04}" + SYSTEM + text("a") + b"s.",
    "reduce-and-forget": b"\x80\x04" + SYSTEM + b"0}.",
    "reduce-inside-a-scalar": b"\x80\x04" + name("numpy._core.multiarray", "scalar") + SYSTEM + b"C\x01a\x86R.",
    "inst": b"(S'touch ran'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'touch ran'\no.",
    "newobj": b"\x80\x04" + name("subprocess", "Popen") + POPEN_ARGUMENT + b"\x85R.",
    "exec": b"\x80\x04" + name("builtins", "exec") + text("import os; os.mkdir('ran')") + b"\x85R.",
    "eval": b"\x80\x04" + name("builtins", "eval") + text("open('ran', 'w')") + b"\x85R.",
    "getattr": b"\x80\x04" + name("builtins", "getattr") + name("os", "path") + text("os") + b"\x86R"
    + b"\x940" + name("builtins", "getattr") + b"h\x00" + text("system") + b"\x86R" + text(COMMAND) + b"\x85R.",
    "dotted-name": b"\x80\x04" + name("os", "path.os.system") + text(COMMAND) + b"\x85R.",
    "build": b"\x80\x04" + name("functools", "partial") + name("os", "system") + b"\x85R(" + name("os", "system")
    + text(COMMAND) + b"\x85}Ntb)R.",
    "import": b"\x80\x04" + name("this", "s") + b".",
}  # fmt: skip
# What a dictionary does not need either, though it calls nothing by itself.
NEEDLESS = {
    "newobj": b"\x80\x04" + name("collections", "OrderedDict") + b")\x81.",
    "newobj-ex": b"\x80\x04" + name("collections", "OrderedDict") + b")}\x92.",
    "codecs": b"\x80\x04" + name("_codecs", "encode") + text("a") + text("latin1") + b"\x86R.",
    "numpy-load": b"\x80\x04" + name("numpy", "load") + text("x") + b"\x85R.",
    "numpy-reconstruct": b"\x80\x04" + name("numpy.core.multiarray", "_reconstruct") + b".",
    "extension-1": b"\x80\x04\x82\x01.",
    "extension-2": b"\x80\x04\x83\x01\x00.",
    "extension-4": b"\x80\x04\x84\x01\x00\x00\x00.",
    "persistent-0": b"Psomething\n.",
    "persistent-1": b"\x80\x04" + text("a") + b"Q.",
    "buffer": b"\x80\x05\x97.",
    "set": b"\x80\x04\x8f.",
    "memory": b"\x80\x04" + text("a") + b"r\xff\xff\xff\x7f.",
}
DTYPE, SCALAR = name("numpy", "dtype"), name("numpy._core.multiarray", "scalar")
FLOAT = DTYPE + text("f8") + b"\x89\x88\x87R"
# Nothing but allowed instructions, which try to turn our stand-ins into something else.
BENT = {
    "state-of-a-function": b"\x80\x04" + DTYPE + b"}" + text("__call__") + text("a") + b"sb.",
    "slots-of-a-function": b"\x80\x04" + DTYPE + b"N}" + text("__class__") + text("a") + b"s\x86b.",
    "state-of-a-dictionary": b"\x80\x04}}" + text("items") + text("a") + b"sb.",
    "state-of-a-format": b"\x80\x04" + FLOAT + b"}" + text("size") + text("a") + b"sb.",
    "order-of-a-format": b"\x80\x04" + FLOAT + b"(K\x03" + text("x") + b"tb.",
    "call-of-text": b"\x80\x04" + text("system") + text("a") + b"\x85R.",
    "call-of-a-format": b"\x80\x04" + FLOAT + b")R.",
    "number-of-objects": b"\x80\x04" + DTYPE + text("O8") + b"\x89\x88\x87R.",
    "number-from-text": b"\x80\x04" + SCALAR + text("f8") + b"C\x08" + bytes(8) + b"\x86R.",
    "number-too-short": b"\x80\x04" + SCALAR + FLOAT + b"C\x04" + bytes(4) + b"\x86R.",
    "a-format-alone": b"\x80\x04}" + text("a") + FLOAT + b"s.",
    "a-function-alone": b"\x80\x04}" + text("a") + DTYPE + b"s.",
}


def in_file(folder: Path, content: bytes, called: str = "token_dictionary_gc30M.pkl") -> Path:
    path = folder / called
    path.write_bytes(content)
    return path


def code_of(path: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_dictionary(path)
    assert path.name in str(error.value)
    return error.value.code


def as_published(number: object) -> dict[str, object]:
    return {"<pad>": 0, "ENSG00000000003": number, "ENSG00000000005": number}


@pytest.mark.parametrize(
    "number",
    [7, 1.5, "ENSG00000000003", np.int16(-300), np.int64(2**40), np.uint8(200), np.float64(2.0011860), np.float32(0.1),
     np.float16(0.5)],
    ids=lambda number: type(number).__name__,
)  # fmt: skip
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_text_numbers_and_numpy_scalars_are_read_exactly(tmp_path: Path, number: object, protocol: int) -> None:
    found = read_dictionary(in_file(tmp_path, pickle.dumps(as_published(number), protocol=protocol)))
    plain = number.item() if isinstance(number, np.generic) else number
    assert found == as_published(plain)
    assert {type(value) for value in found.values()} <= {str, int, float}
    assert list(found) == list(as_published(plain))


def test_both_names_of_numpys_scalar_are_known(tmp_path: Path) -> None:
    new = pickle.dumps(as_published(np.float64(1.25)), protocol=4)
    today = text("numpy._core.multiarray")
    assert today in new, "what numpy writes today"
    old = new[:2] + new[11:].replace(today, text("numpy.core.multiarray"))  # without the frame, whose length changes
    assert read_dictionary(in_file(tmp_path, old)) == read_dictionary(in_file(tmp_path, new, "b.pkl"))


def test_big_endian_numbers_are_read(tmp_path: Path) -> None:
    number = np.array([258], dtype=">i2")[0]
    content = (
        b"\x80\x04}\x8c\x01a\x8c\x15numpy.core.multiarray\x8c\x06scalar\x93\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02i2\x89\x88"
        b"\x87R(K\x03\x8c\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbC\x02" + struct.pack(">h", 258) + b"\x86Rs."
    )
    assert read_dictionary(in_file(tmp_path, content)) == {"a": int(number)} == pickle.loads(content)


@pytest.mark.parametrize("content", [*ATTACKS.values(), *NEEDLESS.values()], ids=[*ATTACKS, *NEEDLESS])
def test_a_pickle_that_asks_for_more_is_refused(tmp_path: Path, content: bytes) -> None:
    assert code_of(in_file(tmp_path, content)) == "unsafe-pickle"


@pytest.mark.parametrize("bend", BENT)
def test_a_pickle_that_bends_the_reader_is_broken(tmp_path: Path, bend: str) -> None:
    assert code_of(in_file(tmp_path, BENT[bend])) == "broken-dictionary"
    good = in_file(tmp_path, pickle.dumps(as_published(np.float64(1.25))), "good.pkl")
    assert read_dictionary(good) == as_published(1.25), "the reader is as it was"


def test_nothing_of_any_attack_runs(tmp_path: Path) -> None:
    """In a process of its own with an audit hook: no command, no code, no import, no file written."""
    for called, content in {**ATTACKS, **NEEDLESS, **BENT}.items():
        in_file(tmp_path, content, f"{called}.pkl")
    in_file(tmp_path, pickle.dumps(as_published(np.float64(1.25))), "good.pkl")
    told = watched(tmp_path, "read_dictionary(path)")
    assert told.pop("good.pkl") == {"ends": "well", "heard": []}
    assert set(told) == {f"{called}.pkl" for called in {**ATTACKS, **NEEDLESS, **BENT}}
    assert all(seen == {"ends": "ModelError", "heard": []} for seen in told.values())
    assert not (tmp_path / "ran").exists()


def test_the_attacks_are_attacks(tmp_path: Path) -> None:
    """Python's own reader runs each of them, and the audit hook hears it."""
    for called, content in ATTACKS.items():
        in_file(tmp_path, content, f"{called}.pkl")
    told = watched(tmp_path, "pickle.loads(path.read_bytes())")
    quiet = [called for called, seen in told.items() if not set(seen["heard"]) - {"pickle.find_class"}]
    assert quiet == []
    assert (tmp_path / "ran").exists()


def watched(folder: Path, call: str) -> dict[str, dict[str, object]]:
    """What ends how, and what an audit hook hears, of a call for each pickle of a folder, in another process."""
    script = folder / "watch.py"
    script.write_text(WATCH.replace("CALL", call))
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", script, folder], capture_output=True, text=True, cwd=folder, check=True
    )
    told: dict[str, dict[str, object]] = json.loads(ran.stdout.splitlines()[-1])
    return told


WATCH = """
import json, os, pickle, sys
from pathlib import Path
from scfm_core.checkpoints.pickled import read_dictionary
from scfm_core.errors import ModelError

WATCHED = {"os.system", "os.exec", "os.fork", "os.posix_spawn", "os.mkdir", "os.remove", "os.rename", "exec", "compile",
           "subprocess.Popen", "import", "marshal.loads", "code.__new__", "socket.connect", "ctypes.dlopen",
           "pickle.find_class"}
heard, listening = [], False

def hook(event, details):
    if listening and (event in WATCHED or event == "open" and details[1] not in ("r", "rb", None)):
        heard.append(event)

sys.addaudithook(hook)
told = {}
for path in sorted(Path(sys.argv[1]).glob("*.pkl")):
    heard = []
    ends = "well"
    listening = True
    try:
        CALL
    except Exception as error:
        ends = type(error).__name__
    finally:
        listening = False
    told[path.name] = {"ends": ends, "heard": heard}
print(json.dumps(told))
"""


@pytest.mark.parametrize("n_kept", [0, 1, 2, 10, 60, -1])
def test_a_cut_off_pickle_is_broken(tmp_path: Path, n_kept: int) -> None:
    whole = pickle.dumps({f"ENSG{number:011}": np.float64(number) for number in range(100)})
    assert code_of(in_file(tmp_path, whole[:n_kept])) == "broken-dictionary"


@pytest.mark.parametrize(
    "content",
    [["a"], "a", 3, None, {"a": None}, {"a": [1]}, {"a": {"b": 1}}, {1: "a"}, {("a", "b"): 1}, {"a": True},
     {"a": b"x"}],
    ids=str,
)
def test_what_is_no_dictionary_of_text_and_numbers_is_refused(tmp_path: Path, content: object) -> None:
    assert code_of(in_file(tmp_path, pickle.dumps(content))) in ("broken-dictionary", "unsafe-pickle")


def test_a_dictionary_that_holds_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, object] = {}
    content["itself"] = content
    assert code_of(in_file(tmp_path, pickle.dumps(content))) == "broken-dictionary"


def test_a_deep_nest_is_refused(tmp_path: Path) -> None:
    assert code_of(in_file(tmp_path, b"\x80\x04" + b")" + b"\x85" * 200_000 + b".")) == "unsafe-pickle"
    assert code_of(in_file(tmp_path, b"[" * 200_000, "deep.json")) == "broken-dictionary"


def test_tuples_within_tuples_are_no_keys(tmp_path: Path) -> None:
    """Python's hash of them has no limit: the first ends the whole process, the second does not end."""
    deep = b"\x80\x04})" + b"\x85" * 1_000_000 + b"K\x01s."
    assert code_of(in_file(tmp_path, deep)) == "unsafe-pickle"
    doubled = b"\x80\x04})\x94" + b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86\x94" for n in range(60))
    assert code_of(in_file(tmp_path, doubled + b"K\x01s.")) == "unsafe-pickle"


@pytest.mark.parametrize(
    ("call", "state"),
    [
        (text("f8") + b"\x89\x88", b"K\x03" + text("<")),
        (text("f8") + b"h\x00\x88", b"K\x03" + text("<")),
        (text("f8") + b"\x89h\x00", b"K\x03" + text("<")),
        (text("f8") + b"\x89\x88", b"h\x00" + text("<")),
        (text("f8") + b"\x89\x88", b"K\x03" + text("<") + b"h\x00"),
    ],
    ids=["none", "align", "copy", "version", "defaults"],
)
def test_tuples_cannot_be_piled_up_in_what_a_stand_in_takes(tmp_path: Path, call: bytes, state: bytes) -> None:
    once = text("first") + SCALAR + DTYPE + b"(" + text("f8") + b"\x89\x88t\x94RC\x08" + bytes(8) + b"\x86Rs"
    again = text("a") + SCALAR + DTYPE + b"(" + call + b"tR(" + state + b"tbC\x08" + bytes(8) + b"\x86Rs."
    path = in_file(tmp_path, b"\x80\x04}" + once + again)
    if b"h\x00" in call + state:
        assert code_of(path) == "broken-dictionary"
    else:
        assert read_dictionary(path) == {"first": 0.0, "a": 0.0}


def test_an_entry_that_is_no_text_is_told_without_writing_it_out(tmp_path: Path) -> None:
    assert code_of(in_file(tmp_path, pickle.dumps({10**300_000: 1}))) == "broken-dictionary"


def test_json_is_read_and_checked(tmp_path: Path) -> None:
    good = {"<pad>": 0, "ENSG00000000003": 2, "median": 1.5, "name": "text"}
    assert read_dictionary(in_file(tmp_path, json.dumps(good).encode(), "good.json")) == good
    for bad in ("[1]", '{"a": null}', '{"a": [1]}', '{"a": true}', '{"a": ', ""):
        assert code_of(in_file(tmp_path, bad.encode(), "bad.json")) == "broken-dictionary"


def test_a_pointer_of_git_lfs_is_told_from_a_pickle(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:67c445f4\nsize 425590\n"
    path = in_file(tmp_path, pointer)
    with pytest.raises(ModelError, match="git lfs pull") as error:
        read_dictionary(path)
    assert error.value.code == "git-lfs-pointer"


def test_a_file_as_large_as_no_dictionary_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "token_dictionary.pkl"
    with path.open("wb") as file:
        file.truncate(64_000_001)  # sparse
    assert code_of(path) == "too-large"
