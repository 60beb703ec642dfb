"""Which weights are trained, beside which frozen ones, and in which dtype the passes have them."""
