"""Up to four linked maps of the same cells, one selection in all, and what one asks of it."""

from pages._frame import chosen_dataset, page_head
from pages._maps import choose_layout, maps_side_by_side, maps_split
from pages._selection import selection_panel
from pages._show import two_lines

page_head("UMAP", "Which cells lie together, and do embeddings agree on it?")
current = chosen_dataset()
n_views, split_by, chosen_settings = choose_layout(current)
if split_by:
    figures, asked = maps_split(current, chosen_settings, split_by)
else:
    figures, asked = maps_side_by_side(current, chosen_settings, n_views)
if figures:
    two_lines(" ".join(dict.fromkeys(figure.caption for figure in figures)), figures[0].caveat)
selection_panel(current)
