"""`python -m tests.recipes NAME` prints the patch of a recipe, for `git apply`."""

import sys

from tests.recipes import recipes

print(recipes()[sys.argv[1]].patch, end="")  # noqa: T201  # it is what it is for
