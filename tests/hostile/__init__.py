"""Bad input of every kind through the whole line, on a real stack: each is refused for what it is, and nothing else takes notice."""
