"""Moving bytes, and nothing else: what a call or an answer means is decided in ``core``."""
