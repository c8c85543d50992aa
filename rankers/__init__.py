"""Embed, index, retrieve and rank; knows not where requests come from."""
