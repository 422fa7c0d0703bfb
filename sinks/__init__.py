"""Where results go: the database, Kafka's output topics, Prometheus."""
