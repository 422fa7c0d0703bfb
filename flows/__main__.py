"""``python -m flows`` is ``hindsight``."""

from flows.cli import main

if __name__ == "__main__":
    main()
