"""Numbers that keep what is computed finite."""

# Weights are float32 numbers in the end: this one is, with its inverse and some room.
LARGEST = 1e30
# The least that is divided by, in float64, where that may be 0.
TINY = 1e-300
