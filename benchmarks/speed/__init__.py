"""The parts of ``benchmarks.train``: fakes, ours, the peer, gates and figures."""
