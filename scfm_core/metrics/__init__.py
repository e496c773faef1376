"""What is measured of an embedding, as pure functions of vectors, graphs and codes: no dataset, no model, no question.

Labels and batches are codes from 0 on, one per cell. A metric that has no value is NaN.
"""
