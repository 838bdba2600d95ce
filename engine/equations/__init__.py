"""The mathematics: each equation as NumPy matrix algebra and as loops per sample and per unit.

docs/equations.md has every equation with its label; the labels (F1, L1, B1, ...) stand at the end
of the lines that compute them. Within these modules

    i  is a sample                      W       (n_out, n_in)   weights of a layer
    j  a unit of the layer              b       (n_out,)        its biases
    k  a unit of the layer below        A_prev  (n_in, m)       activations of the layer below
    m  the number of samples            Z, A    (n_out, m)      pre-activations and activations
    s  (m,)  sample weights             dV      as V            d(summed cost) / dV

Samples are columns, arrays are in C order, all of one dtype (float32 or float64), and everything is
a plain sum over samples: `mean.py` alone divides. Functions ending in _numpy are the reference;
those ending in _loops take the same arguments and are compiled. Where both have one form, as in
`layout.py`, it is written once. The functions trust their arguments: `engine.boundary` checks them.
"""
