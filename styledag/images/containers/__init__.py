"""File formats as containers: what of a file decides its pixels, apart from everything else."""
