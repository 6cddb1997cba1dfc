"""Which connectors one hub knows: what its site declared itself, then the folders that are here.

A site's own declaration goes before a folder of the same name: it was there when that folder came with an upgrade,
and the connections made with it must go on working.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.core import declaration, registry
from connectors.core.own import source


class Catalogue:
    """Immutable; ``own`` is id -> text of the site's declarations."""

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        self._own = dict(own or {})

    def ids(self) -> tuple[str, ...]:
        """Every connector, sorted."""
        return tuple(sorted({*registry.all_ids(), *self._own}))

    def own(self, connector: str) -> bool:
        """Whether the site declared it itself."""
        return connector in self._own

    def with_own(self, more: Mapping[str, str]) -> Catalogue:
        """These declarations too."""
        return Catalogue({**self._own, **more})

    def get(self, connector: str) -> declaration.Declaration:
        """A declaration. Raises registry.UnknownConnector or registry.DeclarationError."""
        text = self._own.get(connector)
        if text is not None:
            return source.compiled(text)
        if connector not in registry.all_ids():
            raise registry.UnknownConnector(f"no connector '{connector}'; there are: {', '.join(self.ids()) or 'none'}")
        return registry.get(connector)


SHIPPED = Catalogue()
"""What comes with the product, and nothing else."""
