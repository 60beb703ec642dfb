"""Averages of the weights: the EMA during training, and other lengths after it."""
