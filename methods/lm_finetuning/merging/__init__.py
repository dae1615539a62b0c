"""Methods that make one adapter from several without training."""
