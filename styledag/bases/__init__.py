"""The models that are fine-tuned: everything that a family of them is."""
