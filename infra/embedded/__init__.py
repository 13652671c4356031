"""The embedded default: a real Kafka broker and a real ClickHouse engine on one machine, from wheels and jars alone."""
