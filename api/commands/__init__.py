"""The commands of `hub`, a file each; loaded when they are called, so that each one is quick."""
