"""Weights are fetched from a hub at the pinned commit, continued after an interruption, and checked byte by byte."""

import hashlib
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scfm_core import hub as hub_module
from scfm_core.devices import use_device
from scfm_core.errors import Cancelled, ModelError
from scfm_core.hub import fetch_weights
from scfm_core.model import ModelSpec, WeightFile
from scfm_core.registry import find_model
from scfm_core.weights import add_weights, installed, loaded_model, weights_here
from scfm_core.workspace import Workspace
from tests.geneformer_folders import write_published
from tests.local_hub import LocalHub, files_under, serving

REVISION = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = "Geneformer-V1-10M/model.safetensors"
DICTIONARIES = "geneformer/gene_dictionaries_30m"
NEEDED = (
    "Geneformer-V1-10M/config.json",
    WEIGHTS,
    *(f"{DICTIONARIES}/{name}_gc30M.pkl"
      for name in ("token_dictionary", "gene_median_dictionary", "gene_name_id_dict", "ensembl_mapping_dict")),
)  # fmt: skip


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_under(write_published(tmp_path_factory.mktemp("repository")))


@pytest.fixture
def card(content: dict[str, bytes]) -> ModelSpec:
    """The card of V1 with the files of the small repository."""
    spec = find_model("geneformer-v1-10m")
    assert spec.published is not None
    files = tuple(
        WeightFile(name=name, size_bytes=len(content[name]), sha256=hashlib.sha256(content[name]).hexdigest())
        for name in NEEDED
    )
    return replace(spec, published=replace(spec.published, revision=REVISION, files=files))


@pytest.fixture
def hub(
    content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, workspace: Workspace, tmp_path: Path
) -> Iterator[LocalHub]:
    monkeypatch.setattr(hub_module, "_WAITS_SECONDS", (0.01, 0.01))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))  # nobody's token
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving(LocalHub("ctheodoris/Geneformer", REVISION, dict(content))) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


class Watched:
    """What a caller hears of a download; stops it after some bytes where asked to."""

    def __init__(self, stop_after: float = float("inf")) -> None:
        self.heard: list[tuple[int, int, str]] = []
        self._stop_after = stop_after

    def fetch(self, card: ModelSpec) -> ModelSpec:
        return fetch_weights(card, on_progress=lambda *told: self.heard.append(told), stop=self._stop)

    def _stop(self) -> bool:
        return bool(self.heard) and self.heard[-1][0] > self._stop_after


def refused(card: ModelSpec) -> ModelError:
    with pytest.raises(ModelError) as error:
        Watched().fetch(card)
    assert not weights_here(card)
    return error.value


def downloads() -> list[Path]:
    folder = Workspace.from_environment().root / "downloads"
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


@pytest.mark.parametrize("redirect", [False, True])
def test_a_model_is_fetched_checked_and_installed(
    hub: LocalHub, card: ModelSpec, content: dict[str, bytes], tmp_path: Path, redirect: bool
) -> None:
    hub.redirect = redirect
    assert not weights_here(card)
    watched = Watched()
    fetched = watched.fetch(card)
    assert fetched == installed(card)
    assert {name for _, name, _ in hub.requests} == set(NEEDED), "only what the card names"
    assert all(hub.asked(name) == [None] for name in NEEDED)
    assert all("torch" not in agent for agent in hub.agents), "nothing is told of this machine"
    done = [told[0] for told in watched.heard]
    total = sum(len(content[name]) for name in NEEDED)
    assert done == sorted(done)
    assert done[-1] == total
    assert {told[1] for told in watched.heard} == {total}
    assert {told[2] for told in watched.heard} == {*NEEDED, ""}
    assert downloads() == [], "the download is not kept twice"
    use_device("cpu")
    assert len(loaded_model(fetched, {}).gene_ids) == 362
    assert fetched.folder is not None
    source = json.loads((fetched.folder / "manifest.json").read_text())["source"]
    assert (source["repository"], source["revision"]) == ("ctheodoris/Geneformer", REVISION)
    assert all(file["as_published"] for file in source["files"])
    from_a_folder = add_weights(card, write_published(tmp_path / "same"))
    assert from_a_folder.identity == fetched.identity


def test_a_dropped_connection_is_taken_up_where_it_broke(hub: LocalHub, card: ModelSpec) -> None:
    hub.drops[WEIGHTS] = [70_000, 20_000]
    watched = Watched()
    watched.fetch(card)
    assert hub.asked(WEIGHTS) == [None, 70_000, 90_000]
    done = [told[0] for told in watched.heard]
    assert done == sorted(done)


def test_a_download_that_broke_for_good_goes_on_with_the_next_call(hub: LocalHub, card: ModelSpec) -> None:
    hub.drops[WEIGHTS] = [50_000, 0, 0]
    assert refused(card).code == "no-connection"
    assert hub.asked(WEIGHTS) == [None, 50_000, 50_000]
    assert [path.stat().st_size for path in downloads() if path.name.endswith(".partial")] == [50_000]
    hub.drops.clear()
    hub.requests.clear()
    Watched().fetch(card)
    assert hub.asked(WEIGHTS) == [50_000]
    assert hub.asked(NEEDED[0]) == [], "a file that is whole is not asked for again"
    assert weights_here(card)


def test_a_stop_keeps_what_arrived(hub: LocalHub, card: ModelSpec) -> None:
    watched = Watched(stop_after=100_000)
    with pytest.raises(Cancelled, match="goes on") as error:
        watched.fetch(card)
    assert error.value.code == "stopped"
    assert not weights_here(card)
    [partial] = [path for path in downloads() if path.name.endswith(".partial")]
    kept = partial.stat().st_size
    assert 0 < kept < len(hub.files[WEIGHTS])
    hub.requests.clear()
    again = Watched()
    again.fetch(card)
    assert hub.asked(WEIGHTS) == [kept]
    assert again.heard[0][0] > 0, "what was here already counts"


def test_a_server_without_ranges_begins_anew_and_progress_does_not_fall(hub: LocalHub, card: ModelSpec) -> None:
    hub.ranges = False
    hub.drops[WEIGHTS] = [70_000]
    watched = Watched()
    watched.fetch(card)
    done = [told[0] for told in watched.heard]
    assert done == sorted(done)
    assert weights_here(card)


def test_another_file_of_the_same_size_is_deleted_and_refused(hub: LocalHub, card: ModelSpec) -> None:
    good = hub.files[WEIGHTS]
    hub.files[WEIGHTS] = good[:-1] + bytes([good[-1] ^ 1])
    error = refused(card)
    assert error.code == "hash-mismatch"
    assert "it was deleted" in str(error)
    assert not [path for path in downloads() if path.name.startswith("model.safetensors")]
    hub.files[WEIGHTS] = good
    Watched().fetch(card)
    assert weights_here(card)


def test_another_size_is_refused_before_the_file_is_loaded(hub: LocalHub, card: ModelSpec) -> None:
    hub.files[WEIGHTS] += b" "
    assert refused(card).code == "hash-mismatch"
    assert hub.asked(WEIGHTS) == []


@pytest.mark.parametrize(("status", "code"), [(404, "not-found"), (401, "no-access"), (403, "no-access")])
def test_a_refusal_says_what_else_to_do(hub: LocalHub, card: ModelSpec, status: int, code: str) -> None:
    hub.status[WEIGHTS] = status
    error = refused(card)
    assert error.code == code
    assert "scfm weights add geneformer-v1-10m FOLDER" in str(error)


def test_a_server_in_trouble_is_told_apart(hub: LocalHub, card: ModelSpec) -> None:
    hub.status[WEIGHTS] = 503
    assert refused(card).code == "server-error"


def test_a_file_that_is_gone_is_not_found(hub: LocalHub, card: ModelSpec) -> None:
    del hub.files[WEIGHTS]
    assert refused(card).code == "not-found"


def test_the_pinned_commit_is_asked_for(hub: LocalHub, card: ModelSpec) -> None:
    assert card.published is not None
    other = replace(card, published=replace(card.published, revision="f" * 40))
    assert refused(other).code == "not-found"
    assert hub.requests == []


def test_a_server_that_answers_with_another_commit_is_refused(hub: LocalHub, card: ModelSpec) -> None:
    hub.commit = "e" * 40
    assert refused(card).code == "other-revision"


def test_without_a_connection_a_folder_is_the_way(
    hub: LocalHub, card: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        error = refused(card)
    assert error.code == "no-connection"
    assert "scfm weights add" in str(error)


def test_a_disk_without_room_is_told_before_anything_is_loaded(
    hub: LocalHub, card: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(hub_module.__file__)._replace(free=1000)
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda path: usage)
    assert refused(card).code == "disk-full"
    assert hub.requests == []


def test_one_download_of_a_model_at_a_time(hub: LocalHub, card: ModelSpec) -> None:
    codes: list[str] = []

    def also(*told: object) -> None:
        if not codes:
            codes.append(refused_now(lambda: Watched().fetch(card)))

    fetch_weights(card, on_progress=also, stop=lambda: False)
    assert codes == ["already-downloading"]


def refused_now(ask: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as error:
        ask()
    return error.value.code


def test_a_model_that_is_not_on_the_hub_says_so(workspace: Workspace) -> None:
    with pytest.raises(ModelError, match="not on the hub") as error:
        Watched().fetch(find_model("scfm-mini"))
    assert error.value.code == "not-published"


def test_a_malicious_pickle_on_the_hub_is_refused_and_the_hash_checked_first(
    hub: LocalHub, card: ModelSpec, tmp_path: Path
) -> None:
    trap = tmp_path / "ran"
    evil = b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR."
    name = f"{DICTIONARIES}/token_dictionary_gc30M.pkl"
    hub.files[name] = evil
    assert refused(card).code == "hash-mismatch"
    assert card.published is not None
    files = [file for file in card.published.files if file.name != name]
    files.append(WeightFile(name=name, size_bytes=len(evil), sha256=hashlib.sha256(evil).hexdigest()))
    tricked = replace(card, published=replace(card.published, files=tuple(files)))
    assert refused(tricked).code == "unsafe-pickle"
    assert not trap.exists()
