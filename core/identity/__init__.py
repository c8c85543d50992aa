"""Who asks, and what of a person may stand in what they send."""
