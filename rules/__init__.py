"""The same verdict for the same facts, with the reason for each node; pure, without I/O."""
