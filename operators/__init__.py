"""What happens to the data: decoding, windows, detection. Plain Python but for `steps`."""
