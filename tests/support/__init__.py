"""What the tests share: coordinate-encoded frames, a model of right answers, independent readers.

Nothing in here computes an expectation with code of ``aqz_core``: the plans describe a recording
in plain words, the model says what must be stored, the decoders and validators are other
projects' code. ``plans`` alone talks to a recorder, and takes the module to record with as an
argument, so that the oracles can be tried against another writer of the same vocabulary.
"""
