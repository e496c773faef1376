"""One file per result: turns it into a figure, computes nothing."""
