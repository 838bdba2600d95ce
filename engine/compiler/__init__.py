"""How Python functions become kernels: decorators, the compile cache, tiles, views, subnormals.

`jit.py` has every compiler flag and the reason for it; nothing here knows of networks.
"""
