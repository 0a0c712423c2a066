"""Publishing: from the lessons' source texts to notebooks, single pages, slides and the site. Imported by nobody.

``python -m publish notebooks`` executes every ``notebooks/src/NN_name.md`` and writes
``notebooks/NN_name.ipynb`` and, where there are exercises, ``notebooks/solutions/NN_name.ipynb``. ``page``, ``slides``
and ``site`` write to ``dist``. All of them use one execution of each lesson.

From the ground up: ``paths``; ``questions``, ``source``, ``normalise`` and ``execute``, which ``notebooks`` puts
together; ``ledger``, ``sheet``, ``for_readers`` and ``picture``, which prepare what is read; ``page``, ``slides`` and
``site``, which write it. ``assignment`` writes what nbgrader grades.

Tags of a lesson's cells: ``exercise`` holds a solution, which is ``drawn`` if it has no code, and the ``check``
that follows judges it; ``claim-…`` names a row of the claims ledger, which a cell tagged ``proof`` asserts, behind
those that show it, tagged ``shows-…``;
``settles-…`` names the question that a cell answers (``questions`` explains it); ``measured`` says that the numbers in
the output differ from run to run; ``needs-kernel`` that a widget does nothing without one; ``slide``, ``on-slide`` and
``show-code`` are explained in ``slides``.
"""
