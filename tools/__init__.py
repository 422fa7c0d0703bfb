"""What building and checking the project needs, and running it does not."""
