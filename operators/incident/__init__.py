"""The second tier: what belongs together of the patterns that the partitions found, and what is told of it.

Plain Python over plain data: `flows.correlator` reads the database, and writes what comes out.
"""
