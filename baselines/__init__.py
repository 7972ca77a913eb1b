"""Models of other people, one file each.

Each is found through its entry point in the group `bench.models`, as a model of any other package is, and imports
`asugnn` only. _matgl.py is what the models of the matgl package share.
"""
