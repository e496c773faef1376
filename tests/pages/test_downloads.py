"""What the pages hand out beside their figures: one size for all pictures, methods, citations, code."""

import pytest

from pages._picture import OWN
from tests.pages.conftest import settle, texts


def labels(app: object) -> list[str]:
    return [button.label for button in app.get("download_button")]


def test_each_figure_and_table_has_its_menu(open_page, tiny_dataset):
    app = open_page("1_Dataset", tiny_dataset)
    assert not app.exception
    files = labels(app)
    assert files.count("Figure (SVG)") == files.count("Figure (PDF)") == files.count("Figure (PNG)") == 2
    assert {"Per cell (XLSX)", "Per cell (CSV)", "Per sample (XLSX)"} <= set(files)


def test_the_size_is_chosen_once_for_all_figures(open_page, tiny_dataset):
    app = open_page("1_Dataset", tiny_dataset)
    boxes = [box for box in app.selectbox if "picture-size" in box.key]
    assert len(boxes) == 2
    boxes[0].set_value(OWN)
    app = settle(app)
    assert [box.value for box in app.selectbox if "picture-size" in box.key] == [OWN, OWN]
    widths = [box for box in app.number_input if "picture-width" in box.key]
    widths[1].set_value(200.0)
    app = settle(app)
    assert [box.value for box in app.number_input if "picture-width" in box.key] == [200.0, 200.0]


@pytest.mark.parametrize("page", ["1_Dataset", "2_Embedding"])
def test_methods_and_code_stand_on_the_page(open_page, tiny_dataset, page):
    app = open_page(page, tiny_dataset)
    assert {"Text (.txt)", "Citations (.bib)", "Script (.py)", "Notebook (.ipynb)"} <= set(labels(app))
    said = texts(app.markdown).replace("\\", "")
    assert tiny_dataset.sha256 in said
    assert "Software: scFM Explorer" in said
    assert "doi:10.1186/s13059-017-1382-0" in texts(app.caption).replace("\\", "")
