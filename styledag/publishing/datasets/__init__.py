"""A dataset compared with another, and written for other trainers."""
