"""Writes a Geneformer of the real size with random weights, in the layout in which the authors publish theirs.

Speed does not depend on what the weights are, so nothing has to be downloaded to measure it. Run as
``python tests/benchmarks/random_geneformer.py FOLDER [MODEL]``, then name ``FOLDER/<model>`` as ``--weights``.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from scfm_core.checkpoints.catalogue import FOLDERS, SHAPES, SPECIAL_TOKENS, series_of
from scfm_core.genes import gene_table
from scfm_core.tensors import BertShape, GeneBert
from tests.geneformer_folders import real_gene_ids, write_dictionaries


def write_random_geneformer(root: Path, key: str = "geneformer-v1-10m", *, seed: int = 0) -> Path:
    """Write weights and dictionaries, and return the folder with ``config.json``.

    The vocabulary has as many genes as the real one: first those that the PBMC 3k demo expresses in most cells, then
    others of the human gene table; medians are random.
    """
    shape, series = BertShape(**asdict(SHAPES[key])), series_of(key)
    n_genes = shape.vocab_size - len(SPECIAL_TOKENS[series])
    genes = dict.fromkeys([*real_gene_ids(n_genes), *gene_table("human").symbols])
    write_dictionaries(root / "geneformer", series, sorted(list(genes)[:n_genes]), seed=seed)
    folder = root / FOLDERS[key][0]
    folder.mkdir(parents=True)
    config = {**asdict(shape), "hidden_act": "relu", "model_type": "bert", "architectures": ["BertForMaskedLM"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    torch.manual_seed(seed)
    network = GeneBert(shape)
    network.start_from_random()
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / "model.safetensors")
    return folder


if __name__ == "__main__":
    print(write_random_geneformer(Path(sys.argv[1]), *sys.argv[2:3]))
