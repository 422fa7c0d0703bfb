"""What the benchmarks are made of; the questions themselves are the files one folder up."""
