"""Pre-training: counts -> batches -> loop -> weights that the models load."""
