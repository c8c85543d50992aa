"""The bodies that travel over HTTP, with their units; inside, the contracts are used."""
