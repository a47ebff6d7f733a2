"""Networks as files that other programs run, with what a session around them does."""
