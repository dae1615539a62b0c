"""Methods that choose what a compressed model is healed on."""
