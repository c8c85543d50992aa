"""Everything from a terminal."""
