"""Building blocks that two or more methods use: tensors in, tensors out."""
