"""``python -m infra.cli``: the same as the command ``onsite``."""

from infra.cli import main

if __name__ == "__main__":
    main()
