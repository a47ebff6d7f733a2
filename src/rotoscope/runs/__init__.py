"""One video or many: a checked job, passes over it, its state, its folder, what it took."""
