"""Records of live streams as well-known producers write them, by name: trackers, event stores, change data."""
