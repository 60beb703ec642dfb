"""encoded_dataset, ema_unet, checkpoint: the EMA fine-tune, without Dagster."""
