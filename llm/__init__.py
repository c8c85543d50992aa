"""The only door to a language model; knows neither routing nor rankers."""
