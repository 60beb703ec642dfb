"""scores: style, retention and copying of every checkpoint and blend."""
