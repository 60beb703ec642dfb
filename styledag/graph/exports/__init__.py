"""Datasets and models as other programs and the Hub read them."""
