"""Publishing: from the lessons' source texts to notebooks, single pages, slides and the site. Imported by nobody.

``python -m publish notebooks`` executes every ``notebooks/src/NN_name.md`` and writes
``notebooks/NN_name.ipynb`` and, where there are exercises, ``notebooks/solutions/NN_name.ipynb``. ``page``, ``slides``
and ``site`` write to ``dist``. All of them use one execution of each lesson.
"""
