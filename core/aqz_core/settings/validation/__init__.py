"""Whether settings can be recorded: values that do not fit together, found before anything opens.

May import what settings may.
"""
