"""Sums over samples: a pass of all samples through a network, in blocks, chunks and threads.

samples   what is passed through: layers, inputs, targets, weights
blocks    samples of one pass of the tiled kernels, and how they get into the workspace
workers   what one thread needs to sum a chunk, for each backend
chunks    all samples: chunks, shared by threads, added in their order
objective the mean cost and its gradient as functions of theta
"""
