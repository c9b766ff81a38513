"""`python -m not_so_clevr`: the same as the command `not-so-clevr`."""

from not_so_clevr.cli import main

if __name__ == "__main__":
    main()
