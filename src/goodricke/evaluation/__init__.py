"""Evaluation: a sample (`sample`), scores of models on it (`assessment`), figures, and a report (`report`)."""
