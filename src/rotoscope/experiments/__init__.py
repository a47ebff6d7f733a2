"""Tables of the papers and of speed, and the demonstration: what is run to be measured."""
