"""What is known of items: details by id, titles to search, and columns for filters, in versions that do not change.

Knows nothing of where it comes from, of sessions, nor of what is recommended.
"""

from stream_rec.core.catalogue.columns import Column
from stream_rec.core.catalogue.filters import holds
from stream_rec.core.catalogue.items import CatalogueItem, Fault, read_item
from stream_rec.core.catalogue.search import folded
from stream_rec.core.catalogue.versions import Catalogue

__all__ = ["Catalogue", "CatalogueItem", "Column", "Fault", "folded", "holds", "read_item"]
