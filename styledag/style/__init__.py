"""The style file: what it may say, how it is read, and how its mistakes are reported."""
