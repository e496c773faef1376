"""Open a demo or a file, read what the doctor says, and keep the cells that can be used."""

import streamlit as st

from pages._adding import demo_cards, earlier_datasets, file_at_the_door, file_fields, file_waits
from pages._frame import page_head
from pages._show import two_lines
from pages._state import dataset_in_use, datasets_here
from pages._words import plain
from scfm_core.dataset import Dataset


def without_dataset() -> None:
    """Show the ways to a dataset, and nothing else."""
    demo_cards(first=True)
    file_fields()
    if datasets_here():
        earlier_datasets(None)


def with_dataset(dataset: Dataset) -> None:
    """Show what is known of the dataset, its quality, and the ways to another one."""
    with st.expander("What was done to the file on its way in", icon=":material/assignment:"):
        for note in dataset.notes:
            st.markdown(f"- {plain(note, longest=600)}")
        roles = ", ".join(f"{role.replace('_', ' ')}: {plain(column)}" for role, column in dataset.roles.items())
        st.caption(f"Columns with a part to play: {roles or 'none'}.")
    st.subheader("Quality control", anchor=False)
    from pages._quality import quality_control  # needs numpy's heavier friends, which the empty page does not

    quality_control(dataset)
    with st.expander("Open another dataset", icon=":material/folder_open:", key="another-dataset"):
        demo_cards(first=False)
        file_fields()
        earlier_datasets(dataset.identity)


page_head("Dataset", "Which cells can be used, and what does the file say about them?", onward=not file_waits())
current = dataset_in_use()
if file_waits():
    file_at_the_door()
elif current is None:
    without_dataset()
    two_lines(
        "Three demo datasets that need no network, and a field for a file of your own.",
        "Nothing yet: the next step looks at the values in the file before anything is computed.",
    )
else:
    with_dataset(current)
