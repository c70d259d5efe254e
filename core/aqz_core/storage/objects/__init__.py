"""How objects reach a store over a network: one event loop, one retry loop, parts under a budget.

May import what storage may.

`aqz_core.storage.objects.sink` puts the pieces together. Nothing in here is imported before an
object store is opened, and nothing in here knows of arrays or chunks.
"""
