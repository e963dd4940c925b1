"""The package version."""

from importlib.metadata import version

VERSION = version("gigwire")
