"""Who decides: predicts and chooses the rung; knows not how models are fitted."""
