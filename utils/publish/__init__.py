"""Publishing: from the lessons' source texts to executed notebooks. Imported by nobody; run as a module.

``python -m utils.publish notebooks`` executes every ``notebooks/src/NN_name.md`` and writes
``notebooks/NN_name.ipynb`` and, where there are exercises, ``notebooks/solutions/NN_name.ipynb``.
"""
