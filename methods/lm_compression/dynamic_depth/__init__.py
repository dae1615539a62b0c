"""Methods that decide token by token how much of a decoder's depth to compute."""
