"""Files for other programs: models, datasets for trainers, cards, the Hub."""
