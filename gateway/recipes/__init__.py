"""Recipes 方案: ready route sets that an admin installs by choosing which connections play which part.

A recipe is data: ``<id>/recipe.yaml``. Being there is all it takes. It names no system: parts are filled by what a
connector declares. Start reading at ``recipe.py`` (the file), then ``fitting.py`` (who can play), ``making.py``.
"""
