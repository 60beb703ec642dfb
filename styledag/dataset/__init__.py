"""image_dataset: a Hugging Face dataset folder, split by family, with a card."""
