"""The Seed-VC engine: the published checkpoints in our own implementation.

Only the modules of this package import torch, and this file imports none of them, so that
`seedvc_live.engines` works without the `seed-vc` extra.
"""
