"""Baselines: models of other people that ASUGNN is compared with, one file each.

A baseline imports `asugnn` alone and is found through the entry-point group `bench.models`, as a plug-in is. Its
docstring names the publication and says where the implementation here differs from it.
"""
