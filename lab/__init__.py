"""Everything that fits or judges a model; knows neither HTTP nor queues."""
