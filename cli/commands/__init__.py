"""One module a command, so that `rung --help` loads none of what they need."""
