"""The demo: real artwork, served by a small wiki on the loopback."""
