"""How far a model can be trusted: its answers beside a known truth, and beside baselines that know no biology."""
