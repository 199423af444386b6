"""Intervals and tests: every number that carries uncertainty is made here, with NumPy and SciPy only.

`intervals` has one function per quantity a claim may be about, `sequential` the forms that may be looked at after every run,
`tests` hypothesis tests, equivalence and Holm's correction, `order_tests` those of loss against the order of training,
`resample` the bootstrap over units, pairs and clusters, `units` what all of them refuse. SciPy is loaded by the first call, not
by the import. Which to use, and how often each misses, stands in docs/statistics.md.
"""
