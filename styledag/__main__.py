"""`python -m styledag` is the `styledag` command."""

from styledag.cli.main import main

if __name__ == "__main__":
    main()
