"""What a run needs to go on: after an interruption, or with more epochs."""
