"""How fast, against what is possible: ratios within one run, written to results/benchmarks/."""
