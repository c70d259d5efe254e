"""A store read with suspicion: what its files hold, whatever its documents say.

May import chunks, planning and everything below them; never recording or pipeline.
"""
