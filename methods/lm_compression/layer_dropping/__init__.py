"""Methods that remove whole sub-layers (attention, MLP) or blocks from a decoder and leave the rest as it was."""
