"""Training: the loop, shared losses, recipes, checkpoints."""
