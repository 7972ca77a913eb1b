"""Models of other people, one file each."""
