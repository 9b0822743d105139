"""Pushes of 快递100 through the real route: the signature, the store, the answer, and then the fold.

A bare program takes the same signed pushes into the same tables with the very statements of the service. And the worker
that folds them is timed until the last parcel stands where its journey ended.
"""
