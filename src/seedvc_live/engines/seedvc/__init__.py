"""Seed-VC: the published checkpoints."""
