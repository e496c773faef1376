"""A million cells in the browser: our map beside plotly's, in one run, on software WebGL.

    python tests/benchmarks/bench_map.py [--cells 1000000] [--genes 20000] [--workspace FOLDER] [--pictures FOLDER]

The dataset is made up once (see ``million_cells.py``) and kept in the workspace. Each server runs without worker
processes, so that its memory is all there is. A time ends when the picture is drawn, or the number of selected cells
stands on the page.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as TooLate

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.grouping import BySelections
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.plots.cell_map import polygon_selection
from scfm_core.registry import find_model
from scfm_core.store import Store
from tests.benchmarks.million_cells import build_million

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
MOST_SECONDS = 180
N_SELECTED = 300_000
GENE = "ENSG00000090382"  # LYZ
_UNTIL_DRAWN = """([before, most]) => new Promise((done) => {
  const all = (root) => [...root.querySelectorAll("*")].flatMap((one) => (one.shadowRoot ? all(one.shadowRoot) : [])
    .concat(one.matches(".cell-map") ? [one] : []));
  const map = all(document)[0];
  const look = () => {
    const spent = performance.now() - window.chosen;
    if (map.dataset.ready !== before) done(spent);
    else if (spent > most) done(null);
    else requestAnimationFrame(look);
  };
  look();
})"""


def main() -> None:
    """Measure, and print a table."""
    asked = _arguments()
    asked.workspace.mkdir(parents=True, exist_ok=True)
    dataset = build_million(asked.workspace, asked.cells, asked.genes)
    found = Engine(Store(asked.workspace)).answer(ProjectCells(EmbedCells(dataset, find_model("pca"))))
    assert found is not None
    places = np.asarray(found.coordinates)
    print(f"{dataset.n_cells:,} cells x {dataset.n_genes:,} genes, software WebGL, {os.cpu_count()} cores")
    with sync_playwright() as playwright:
        program = next(filter(None, map(shutil.which, BROWSERS)))
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        ours = _measure_ours(browser.new_page(viewport={"width": 1280, "height": 900}), dataset, asked)
        plotlys = _measure_plotly(browser.new_page(viewport={"width": 1280, "height": 900}), dataset, places)
        browser.close()
    for name in ours:
        other = plotlys.get(name, "")
        ratio = f"{other / ours[name]:8.1f} x" if isinstance(other, float) else ""
        told = f"{other:.2f}" if isinstance(other, float) else other
        print(f"{name:46} {ours[name]:10.2f}   plotly {told:>28} {ratio}")
    _measure_markers(dataset, places)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--workspace", type=Path, default=Path(tempfile.gettempdir()) / "scfm-million")
    parser.add_argument("--pictures", type=Path)
    return parser.parse_args()


def _measure_ours(page: Page, dataset: Dataset, asked: argparse.Namespace) -> dict[str, float]:
    environment = {"SCFM_WORKSPACE": str(asked.workspace.absolute()), "SCFM_SCHEDULER": ""}
    times: dict[str, float] = {}
    with _server(ROOT / "app.py", environment) as (url, process):
        page.goto(f"{url}/?dataset={dataset.sha256}")
        page.locator("h1").first.wait_for(timeout=MOST_SECONDS * 1000)
        started = time.perf_counter()
        page.goto(f"{url}/UMAP?dataset={dataset.sha256}&view=pca,cell_type")
        shown = page.locator(".cell-map[data-ready]").first
        shown.wait_for(timeout=MOST_SECONDS * 1000)
        times["map stands, s"] = time.perf_counter() - started
        times["server, resident memory, GB"] = process.memory_info().rss / 1e9
        times["recolour by a category, s"] = _recolour(page, "batch")
        _recolour(page, "A gene")  # the field with the genes comes to the page
        times["recolour by a gene, s"] = _recolour(page, "NKG7", field="Gene")
        page.locator('[data-tool="lasso"]').first.click()
        times["lasso until the page says n, s"] = _lasso(page, ".stage", r"Selection:\D*([\d\u202f]+)")
        times["selected cells"] = float(shown.get_attribute("data-selected") or 0)
        times["server afterwards, resident memory, GB"] = process.memory_info().rss / 1e9
        for width, height in ((1280, 900), (1920, 1080)) if asked.pictures else ():
            page.set_viewport_size({"width": width, "height": height})
            time.sleep(5)
            page.screenshot(path=asked.pictures / f"million-{width}.png")
    return times


def _measure_plotly(page: Page, dataset: Dataset, places: np.ndarray) -> dict[str, float | str]:
    times: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "places.npy", places)
        environment = {
            "BENCH_DATASET": str(dataset.path), "BENCH_PLACES": str(Path(folder) / "places.npy"), "BENCH_GENE": GENE,
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        with _server(Path(__file__).with_name("plotly_map.py"), environment) as (url, process):
            page.goto(url)
            page.get_by_text("DONE cell_type").wait_for(timeout=MOST_SECONDS * 1000)
            started = time.perf_counter()
            page.reload()
            drawn = page.locator(".js-plotly-plot canvas").first
            times["map stands, s"] = _or_why(lambda: drawn.wait_for(timeout=MOST_SECONDS * 1000), started, page)
            times["server, resident memory, GB"] = process.memory_info().rss / 1e9
            for name, option in (("a category", "batch"), ("a gene", "a gene")):
                choice = _option(page, "Colour", option)
                started = time.perf_counter()
                choice.click()
                said = page.get_by_text(f"DONE {option}")
                times[f"recolour by {name}, s"] = _or_why(
                    lambda said=said: said.wait_for(timeout=MOST_SECONDS * 1000), started, page
                )
            page.locator('[data-title="Lasso Select"]').first.click()
            times["lasso until the page says n, s"] = _or_none(
                lambda: _lasso(page, ".js-plotly-plot .nsewdrag", r"DONE .* ([1-9]\d*) selected")
            )
            times["server afterwards, resident memory, GB"] = process.memory_info().rss / 1e9
    return times


def _measure_markers(dataset: Dataset, places: np.ndarray) -> None:
    """Markers of some 300,000 cells against the rest, through the engine, in this process."""
    order = np.argsort(places[:, 0])
    mask = np.zeros(dataset.n_cells, dtype=bool)
    mask[order[: min(N_SELECTED, dataset.n_cells // 3)]] = True
    request = FindMarkers(dataset, BySelections((CellSet.from_mask("selection", mask),)))
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Store(Path(folder)), ThreadExecutor(["cpu"]))
        started = time.perf_counter()
        engine.compute(request)
        print(f"markers of {int(mask.sum()):,} cells against the rest: {time.perf_counter() - started:.1f} s")
        engine.close()
    corners = {"lasso": [{"x": [-1e9, 0.0, 0.0, -1e9], "y": [-1e9, -1e9, 1e9, 1e9]}]}
    started = time.perf_counter()
    polygon_selection(places, corners)
    print(f"lasso on the plain map, in Python: {time.perf_counter() - started:.2f} s")


@contextmanager
def _server(script: Path, environment: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.fileWatcherType", "none", "--browser.gatherUsageStats", "false"]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"http://localhost:{port}/_stcore/health")
        yield f"http://localhost:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    msg = "The server did not come up."
    raise RuntimeError(msg)


def _option(page: Page, label: str, option: str) -> Locator:
    """Open a select box, and return an option of it, to be clicked."""
    box = page.locator('[data-testid="stSelectbox"]').filter(has=page.get_by_text(label, exact=True)).first
    box.locator("input").click()
    box.locator("input").fill(option)
    choice = page.get_by_role("option").filter(has_text=option).first
    choice.wait_for()
    return choice


def _recolour(page: Page, option: str, *, field: str = "Colour") -> float:
    """Return the seconds from the click on a choice until the map is drawn in its new colours, on the page's clock."""
    before = page.locator(".cell-map[data-ready]").first.get_attribute("data-ready")
    page.evaluate("() => addEventListener('pointerup', () => { window.chosen = performance.now(); }, true)")
    _option(page, field, option).click()
    milliseconds = page.evaluate(_UNTIL_DRAWN, [before, 1000 * MOST_SECONDS])
    if milliseconds is None:
        msg = f"The map kept its colours for {MOST_SECONDS} s."
        raise RuntimeError(msg)
    return float(milliseconds) / 1000


def _lasso(page: Page, place: str, said: str) -> float:
    """Draw a lasso around about a third of the cells; return the seconds until the page says how many they are."""
    frame = page.locator(place).first.bounding_box()
    assert frame is not None
    corners = ((0.03, 0.03), (0.33, 0.03), (0.33, 0.97), (0.03, 0.97), (0.03, 0.05))
    spots = [(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in corners]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=5)
    started = time.perf_counter()
    page.mouse.up()
    while not re.search(said, page.locator("body").inner_text()):
        if time.perf_counter() - started > MOST_SECONDS:
            msg = f"nothing came back within {MOST_SECONDS} s"
            raise TooLate(msg)
        time.sleep(0.02)
    return time.perf_counter() - started


def _or_why(act: Callable[[], None], started: float, page: Page) -> float | str:
    """Return the seconds until it is done and the browser draws again, or that it was not."""
    try:
        act()
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    except TooLate:
        return f"not within {MOST_SECONDS} s"
    return time.perf_counter() - started


def _or_none(act: Callable[[], float]) -> float | str:
    try:
        return act()
    except TooLate:
        return "nothing came back"


if __name__ == "__main__":
    main()
