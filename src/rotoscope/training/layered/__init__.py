"""Clips that are laid together where the network trains: planned on the processor, rendered on the device."""
