"""The engine that counts on Apache Spark: the extra `[spark]`. Without it nothing here but `session.missing` works."""
