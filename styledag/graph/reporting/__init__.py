"""What a model's report states."""
