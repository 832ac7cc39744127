"""``python -m fastmed``: the same as the ``fastmed`` script."""

from .cli import main

if __name__ == "__main__":
    main()
