"""The parts of ``benchmarks/train.py``: fakes, ours, the peer, gates and figures."""
