"""The line in one thread: the product's own services over fakes, with every step, fault and second chosen by a schedule."""
