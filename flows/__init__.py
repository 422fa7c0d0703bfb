"""The dataflows and the command line: only wiring, sources → operators → sinks."""
