"""How a pyramid level is made from the one before: the methods and their kernels.

May import the vocabulary only.
"""
