"""model_report: one self-contained page that a person reads to the end."""
