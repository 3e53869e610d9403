"""How good a conversion is: similarity to the target, intelligibility, quality and pitch, on a list of pairs.

Everything heavy is imported when it is used; the packages come with the extra `evaluate`.
"""
