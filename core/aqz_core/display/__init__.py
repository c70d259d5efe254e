"""How text and records are shown: in a notebook, and safely in a terminal.

May import nothing of aqz: everything, the errors included, shows something.
"""
