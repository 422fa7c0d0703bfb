"""The detectors of the realtime flow. Each judges one series, one value at a time, and learns only after judging.

========== ==================================== ========================================== ==================
detector   judges                               says                                       state
========== ==================================== ========================================== ==================
spike      panes; sparse series event by event  far off what the series did lately         `SpikeState`
novelty    panes of a series                    what it has never shown, by time of day    `NoveltyState`
drift      minutes, or values where rarer       another level or spread, for good          `DriftState`
drift      outcomes (`failed`)                  another share of failures, for good        `OutcomeState`
trend      hours                                a slope that a walk would not reach        `TrendState`
flatline   panes of a series                    stuck where it used to move                `FlatlineState`
missing    a series' last arrival, each minute  silent for longer than it ever is          `MissingState`
threshold  each event of a measure with a rule  above a limit that somebody set            `ThresholdState`
threshold  outcomes (`failed`), with their rule share of failures above a limit for sure   `RateState`
burst      outcomes (`failed`), one or n at once fail far more often than they used to       `BurstState`
overdue    runs that have started               not finished when they should be           `OverdueState`
sequence   tokens of events, in order           a mined sequence is under way, or came     `SequenceState`
prior      series with too little history       far off what its group is like             `YoungState`
========== ==================================== ========================================== ==================

Three more watch the series of a group together, once a minute, with a function `advance`:

============ ================================== =====================
detector     says                               state
============ ================================== =====================
correlation  which series follows which, when   `CorrelationState`
multivariate each in range, and together odd    `MultivariateState`
forest       hardly ever so together, any shape `ForestState`
============ ================================== =====================

A detector is a module with a state (a `msgspec.Struct` that resumes identically from its snapshot) and a judging
function that returns None for a plainly normal value and a `verdict.Verdict` otherwise. What becomes of verdicts
(opening, observing, resolving a pattern) is the business of `operators.patterns`. `tests/operators/detect/contract.py`
holds what each of them must keep to.
"""
