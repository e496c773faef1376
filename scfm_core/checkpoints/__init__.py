"""Published checkpoints of rank-value BERTs, read with suspicion and converted once to safetensors and JSON."""
