#!/usr/bin/env python3
"""Stands for apk, apt-get, yum, pip and their like: nothing can be installed, so nothing is.

Manifests begin scripts with `apk add curl &&`. A container has this machine's programs already; what
this machine lacks is said on standard error. The exit status is 0.
"""

from __future__ import annotations

import os
import shutil
import sys

_VERBS = ("add", "install")


def main() -> int:
    """Say what is there and what is not."""
    manager = os.path.basename(sys.argv[0])
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if not words or words[0] not in _VERBS:
        return 0
    print(f"{manager}: nothing is installed here: containers use this machine's programs", file=sys.stderr)
    absent = [word for word in words[1:] if not (manager.startswith("pip") or shutil.which(word))]
    if absent:
        print(f"{manager}: this machine has no program named {', '.join(absent)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
