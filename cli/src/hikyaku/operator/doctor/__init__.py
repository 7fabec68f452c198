"""`hikyaku doctor`: what is wrong with the line's surroundings, why it matters, and the command that mends it."""
