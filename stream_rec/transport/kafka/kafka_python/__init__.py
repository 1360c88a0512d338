"""Kafka by kafka-python: the default client, pure Python. Imports nothing of the other client."""
