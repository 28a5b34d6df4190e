"""What the operator wants: text in, checked values out, and nothing of the operating system between.

``ini`` finds sections and settings and remembers their lines, ``keys`` knows which there may be,
``values`` understands one value each, ``reader`` puts a whole file together, ``schema`` is what comes
out, and ``problems`` is how everything wrong is told.
"""
