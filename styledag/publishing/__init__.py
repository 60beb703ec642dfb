"""Everything that leaves the project: model files, datasets for trainers, the Hub, marking."""
