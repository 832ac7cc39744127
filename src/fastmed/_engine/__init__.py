"""What every operation shares, written once: the list of operations, arrays, chunks, instruction sets, threads."""
