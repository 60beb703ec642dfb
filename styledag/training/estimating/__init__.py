"""What a training will take, predicted before it runs: memory, FLOPs, time, disk."""
