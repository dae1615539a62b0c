"""Methods that let several blocks of a decoder use the same weights."""
