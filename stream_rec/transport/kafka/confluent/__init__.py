"""Kafka by confluent-kafka (librdkafka): the fast client, an extra. Imports nothing of the other client."""
