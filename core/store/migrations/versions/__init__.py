"""One file a step, named by its number; a released step never changes."""
