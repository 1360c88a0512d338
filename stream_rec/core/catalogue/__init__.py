"""The catalogue: details of items by id, titles to search, and columns for filters, in immutable versions.

Knows nothing of its source, of sessions or of recommendations.
"""

from stream_rec.core.catalogue.columns import Column
from stream_rec.core.catalogue.filters import holds
from stream_rec.core.catalogue.items import CatalogueItem, Fault, ReadItem, read_item
from stream_rec.core.catalogue.newest import Newest
from stream_rec.core.catalogue.search import folded
from stream_rec.core.catalogue.versions import Catalogue

__all__ = ["Catalogue", "CatalogueItem", "Column", "Fault", "Newest", "ReadItem", "folded", "holds", "read_item"]
