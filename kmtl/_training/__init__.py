"""Compiling and stepping: the part of a model that trains it."""

from kmtl._training._trainer import Trainer

__all__ = ["Trainer"]
