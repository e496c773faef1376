"""Cells with a known truth: a small gene network, its knock-outs, and counts drawn as a droplet machine draws them."""
