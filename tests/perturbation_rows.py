"""Rows as the tables of a perturbation hold them, to write sentences and reports about."""

from types import SimpleNamespace

import pandas as pd

NAN = float("nan")
ROW = {
    "edit": "LYZ",
    "kind": "delete",
    "gene_ids": "ENSG00000090382",
    "group": "CD14+ monocytes",
    "n_cells": 480,
    "n_holding": 480,
    "share_holding": 1.0,
    "n_expressing": 480,
    "status": "tested",
    "effect": 0.01234,
    "ci_low": 0.01192,
    "ci_high": 0.01271,
    "ci_over": "cells",
    "null_effect": 0.0121,
    "null_mean": 0.00412,
    "null_sd": 0.002,
    "n_null": 100,
    "null_n_cells": 16,
    "z": 4.0,
    "p_empirical": 2 / 101,
    "p_low": 0.0099,
    "p_high": 0.0396,
    "n_donors": 0,
    "donors_agree": 0,
    "p_donors": NAN,
    "p": 2 / 101,
    "evidence": "cells",
    "p_adjusted": 3 / 101,
    "match_distance": 0.1,
    "match_quality": "close",
    "share_switching": NAN,
    "switch_to": "",
    "n_switching": 0,
    "null_switching": NAN,
    "p_switching": NAN,
}
GOAL = {
    "edit": "LYZ",
    "group": "CD14+ monocytes",
    "state": "DC",
    "role": "goal",
    "n_cells": 480,
    "shift": 0.00221,
    "ci_low": 0.0019,
    "ci_high": 0.0025,
    "ci_over": "cells",
    "share_toward": 0.384,
    "null_effect": 0.0022,
    "null_mean": -0.0001,
    "null_sd": 0.0005,
    "n_null": 100,
    "z": 4.6,
    "p_empirical": 2 / 101,
    "n_donors": 0,
    "donors_agree": 0,
    "p_donors": NAN,
    "p": 2 / 101,
    "evidence": "cells",
    "p_adjusted": 2 / 101,
}
ALTERNATIVE = GOAL | {"state": "NK", "role": "alternative", "shift": -0.001, "share_toward": 0.2, "p_adjusted": 0.6}
ALTERNATIVE |= {"null_effect": -0.0012, "z": -2.2}
OF_DONORS = {"evidence": "donors", "n_donors": 4, "donors_agree": 3, "p_donors": 0.021, "ci_over": "donors"}
LOST = {"p_empirical": 0.6, "p": 0.6, "p_adjusted": 0.7, "z": 0.1}
UNCOMPARED = {
    **dict.fromkeys(("null_effect", "null_mean", "null_sd", "z", "p_empirical", "p_low", "p_high", "p"), NAN),
    **{"p_adjusted": NAN, "n_null": 0, "match_quality": "", "match_distance": NAN, "null_n_cells": 0},
}
NOT_HELD = {
    **UNCOMPARED,
    **{"status": "not held", "n_holding": 0, "share_holding": 0.0, "effect": NAN, "ci_low": NAN, "ci_high": NAN},
}


def table(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def answer(*rows: dict, shifts: tuple[dict, ...] = ()) -> SimpleNamespace:
    """What a card reads of an answer: its two tables."""
    return SimpleNamespace(effects=table(*rows), shifts=table(*shifts) if shifts else pd.DataFrame({"role": []}))
