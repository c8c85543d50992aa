"""The schema's history, as package data that the program itself applies."""
