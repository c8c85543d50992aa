"""End-user requests over HTTP; never fits a model."""
