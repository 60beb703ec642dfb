"""The fine-tune of the autoencoder's decoder."""
