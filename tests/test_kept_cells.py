"""Sets of cells that travel: equal again, bounded, and refused where they are not what they say."""

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm_core import kept_cells as module
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.kept_cells import keep_cells, kept_cells, packed, unpacked


@given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.text(max_size=40))
def test_a_set_of_cells_survives_packing(n_cells, seed, label):
    cells = CellSet.from_mask(label, np.random.default_rng(seed).random(n_cells) < 0.3)
    assert unpacked(json.loads(json.dumps(packed(cells)))) == cells


def test_a_kept_set_is_found_by_its_name(tmp_path):
    cells = CellSet.from_positions("some", [0, 5, 9], 17)
    key = keep_cells(tmp_path, cells)
    assert keep_cells(tmp_path, cells) == key
    assert kept_cells(tmp_path, key) == cells
    assert [path.name for path in tmp_path.iterdir()] == [f"{key}.json"]


def test_a_million_cells_are_few_bytes(tmp_path):
    mask = np.zeros(1_000_000, dtype=bool)
    mask[200_000:500_000] = True
    key = keep_cells(tmp_path, CellSet.from_mask("lasso", mask))
    assert (tmp_path / f"{key}.json").stat().st_size < 200_000
    assert len(kept_cells(tmp_path, key)) == 300_000


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "0" * 16, "0123456789ABCDEF", "a" * 400])
def test_an_unknown_name_is_refused(tmp_path, key):
    with pytest.raises(RequestError, match="not kept") as error:
        kept_cells(tmp_path, key)
    assert error.value.code == "no-such-cells"


def test_a_changed_file_is_refused(tmp_path):
    key = keep_cells(tmp_path, CellSet.from_positions("some", [0], 17))
    path = tmp_path / f"{key}.json"
    path.write_text(path.read_text().replace("some", "more"))
    with pytest.raises(RequestError, match="changed"):
        kept_cells(tmp_path, key)


BOMB = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
GOOD = base64.b64encode(zlib.compress(b"\x01")).decode()
SPARE = base64.b64encode(zlib.compress(b"\xff")).decode()


@pytest.mark.parametrize(
    "value",
    [
        None, [], "text", {}, {"label": "x"}, {"label": 3, "n_cells": 5, "bits": GOOD},
        {"label": "x", "n_cells": True, "bits": GOOD}, {"label": "x", "n_cells": -1, "bits": GOOD},
        {"label": "x", "n_cells": 10**12, "bits": GOOD}, {"label": "x" * 1000, "n_cells": 5, "bits": GOOD},
        {"label": "x", "n_cells": 5, "bits": "!"}, {"label": "x", "n_cells": 50, "bits": GOOD},
        {"label": "x", "n_cells": 5, "bits": BOMB}, {"label": "x", "n_cells": 5, "bits": SPARE},
    ],
)  # fmt: skip
def test_what_is_no_set_of_cells_is_refused(value):
    with pytest.raises(RequestError) as error:
        unpacked(value)
    assert error.value.code == "bad-cells"


def test_the_folder_stays_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    keys = [keep_cells(tmp_path, CellSet.from_positions("some", [place], 17)) for place in range(6)]
    assert len(list(tmp_path.iterdir())) == 3
    assert kept_cells(tmp_path, keys[-1])
