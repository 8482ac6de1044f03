"""How a student learns each of its outputs: from soft labels, numbers or labels."""
