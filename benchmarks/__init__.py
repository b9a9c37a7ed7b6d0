"""What many waits cost: this provider and its most used peer, measured side by side. Run by ``make bench``."""
