"""A schema registry with Confluent's API: records in Avro, Protobuf and JSON Schema, as their writers meant them."""
