"""Regression tests of what a chip tolerates: cases with bands, golden results, verdicts.

A suite is a TOML file; `harness.studies.regress.suite` says what may stand in it, `harness.studies.regress.quantities`
what can be measured, `harness.studies.regress.bands` how far from its golden a quantity may be. Goldens lie beside the
suite, in ``NAME.golden.json`` (`harness.studies.regress.goldens`), with what they were measured with and why. The same
seed on the same machine gives the same values bit for bit; on another processor or with another NumPy the nodal chip
agrees to rounding in what it measures, and a training, which amplifies rounding, to about as much: bands are there for
that.
"""
