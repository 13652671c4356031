"""Everything that moves: Kafka, the Faust apps, the framed transport, checkpoints, the ClickHouse recorder."""
