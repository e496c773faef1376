"""The Perturbation page asked as the authors of a model do: edits, states, each gene of a cell, errors."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages._perturb_asking import ALL
from pages._state import engine
from scfm_core.analyses.perturb_as_authors import AuthorsReadout, PerturbAsAuthors
from scfm_core.genes import find_genes
from tests.pages.conftest import choose, settle, texts


@pytest.fixture
def authors(open_page, tiny_dataset) -> AppTest:
    """The page with a dataset, asked as the authors do."""
    return ask_as_authors(open_page("5_Perturbation", tiny_dataset))


def ask_as_authors(app: AppTest) -> AppTest:
    app.get("button_group")[0].set_value("As the authors")
    app.run()
    assert not app.exception
    return app


def run(app: AppTest) -> AppTest:
    app.button("as-authors").click()
    settle(app)
    assert not app.exception
    return app


def answered() -> tuple[PerturbAsAuthors, AuthorsReadout]:
    """Return the latest question of this kind with its answer."""
    job = next(job for job in engine().jobs() if isinstance(job.request, PerturbAsAuthors))
    return job.request, job.result()


def test_a_deletion_with_its_cost_figure_table_and_files(authors):
    captions = texts(authors.main.caption)
    assert "taken out of the cell's list of genes" in captions
    assert "At most" in captions
    app = run(authors)
    assert not app.error
    asked, readout = answered()
    assert {label.split(":")[0] for label in readout.cells["edit"]} == {"delete"}
    table = app.dataframe[0].value
    assert list(table["Gene_name"]) == ["LYZ"]
    np.testing.assert_allclose(table["Cosine_sim_mean"], [readout.cells["cosine_similarity"].mean()])
    assert list(table["N_Detections"]) == [len(asked.cells)]
    assert "Deleting LYZ moves the vectors of" in texts(app.main.markdown)
    assert len(app.get("plotly_chart")) == 1
    files = [button.label for button in app.get("download_button")]
    assert files[:6] == [
        *("Figure (SVG)", "Figure (PDF)", "Figure (PNG)"),
        *("Per cell (CSV)", "Statistics (XLSX)", "Statistics (CSV)"),
    ]


def test_genes_edited_together_take_the_cells_that_hold_all_of_them(authors, tiny_dataset):
    choose(authors, ":how", "Together")
    authors.run()
    choose(authors, ":cells", ALL)
    authors.multiselect[0].set_value(["LYZ", "CD3D"]).run()
    assert not run(authors).error
    asked, readout = answered()
    lyz, cd3d = find_genes(tiny_dataset, ["LYZ", "CD3D"])
    assert set(readout.edits["symbols"]) == {"LYZ;CD3D"}
    both = (tiny_dataset.expression(lyz) > 0) & (tiny_dataset.expression(cd3d) > 0)
    assert 0 < both.sum() < (tiny_dataset.expression(lyz) > 0).sum()
    np.testing.assert_array_equal(asked.cells.mask, both)


@pytest.mark.parametrize(
    ("kind", "title"), [("overexpress", "Overexpressing"), ("inhibit", "Inhibiting"), ("activate", "Activating")]
)
def test_other_edits_toward_a_state(authors, kind, title):
    choose(authors, ":kind", kind)
    choose(authors, ":way", "Toward a state")
    authors.run()
    start = next(box for box in authors.selectbox if box.label.startswith("Start"))
    others = next(box for box in authors.multiselect if box.label == "Alternatives")
    start.set_value("CD14 Mono" if "CD14 Mono" in start.options else start.options[0])
    others.set_value(others.options[-1:])
    authors.run()
    app = run(authors)
    assert not app.error
    asked, readout = answered()
    assert asked.states.names == readout.states
    assert len(readout.states) == 3
    assert title in texts(app.main.markdown)
    table = app.dataframe[0].value
    np.testing.assert_allclose(table["Shift_to_goal_end"], [readout.cells[f"shift_to:{readout.states[1]}"].mean()])
    toward = next(group for group in app.get("button_group") if group.label == "Shift toward")
    toward.set_value(f"{readout.states[0]} (start)")
    app.run()
    assert not app.exception
    spoken = texts(app.main.markdown).replace("\\", "")
    assert f"toward {readout.states[0]}" in spoken or f"away from {readout.states[0]}" in spoken


def test_each_gene_of_a_cell_is_split_into_impact_and_none(authors):
    choose(authors, ":how", "Each gene of a cell")
    authors.run()
    numbers = {box.label: box for box in authors.number_input}
    numbers["Cells, at most"].set_value(2)
    numbers["Genes per cell, at most"].set_value(8)
    next(box for box in authors.toggle if "every other gene" in box.label).set_value(True)
    app = run(authors)
    assert not app.error
    asked, readout = answered()
    assert asked.every_gene == "delete"
    assert len(readout.cells) == 16
    table = app.dataframe[0].value
    assert set(table["Impact_component"]) == {0, 1}
    assert {"Gene statistics (CSV)", "Per gene (CSV)"} <= {button.label for button in app.get("download_button")}
    assert "most affected other genes" in texts(app.subheader)


def test_a_gene_that_no_cell_holds_is_said(open_page, two_cells):
    app = ask_as_authors(open_page("5_Perturbation", two_cells))
    choose(app, ":cells", "One group")
    app.multiselect[0].set_value(["MS4A1"]).run()
    choose(app, ":group", "one")
    app.run()
    assert "No cell of one holds the chosen genes" in texts(app.main.caption)
    assert not [button for button in app.button if button.key == "as-authors"]
    choose(app, ":kind", "overexpress")
    app.run()
    assert "No cell of one" not in texts(app.main.caption)
    assert [button for button in app.button if button.key == "as-authors"]


def test_another_organism_is_said(open_page, mouse_dataset):
    app = ask_as_authors(open_page("5_Perturbation", mouse_dataset))
    app.multiselect[0].set_value(["Gene0"]).run()
    run(app)
    assert "mouse" in app.error[0].value
