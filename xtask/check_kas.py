#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Hold a layer's kas files against kas's own schema: check_kas.py LAYER

Beyond the schema: what a file includes is there, and the lock has a commit for each repository that has a branch, and no other.

Needs kas (for its schema), jsonschema and PyYAML. The last line is `N passed, N failed`; the exit status is 1 if any failed.
"""

import functools
import importlib.util
import json
import pathlib
import re
import sys

import jsonschema
import tally
import yaml

COMMIT = re.compile("[0-9a-f]{40}")


def schema():
    """kas's schema, without running kas."""
    package = pathlib.Path(importlib.util.find_spec("kas").origin).parent
    return json.loads((package / "schema-kas.json").read_text())


def check(layer, path, validator):
    """Checks one file; raises what is wrong with it."""
    content = yaml.safe_load(path.read_text())
    validator.validate(content)
    for include in content["header"].get("includes", []):
        if not (layer / include).is_file():
            raise FileNotFoundError(f"includes {include}, which is not there")
    lock = path.with_suffix(".lock.yml")
    branches = {name for name, repo in content.get("repos", {}).items() if repo and "branch" in repo}
    if branches and path.suffixes != [".lock", ".yml"]:
        commits = yaml.safe_load(lock.read_text())["overrides"]["repos"]
        if set(commits) != branches:
            raise ValueError(f"{lock.name} has {sorted(commits)}, expected {sorted(branches)}")
        for name, repo in commits.items():
            if not COMMIT.fullmatch(repo["commit"]):
                raise ValueError(f"{lock.name}: {name} has no commit")


def main():
    layer = pathlib.Path(sys.argv[1]).resolve()
    validator = jsonschema.Draft7Validator(schema())
    # ci/ has a workflow for other tools.
    paths = [path for path in sorted((layer / "kas").rglob("*.yml")) if path.parent.name != "ci"]
    return tally.run((path.relative_to(layer), functools.partial(check, layer, path, validator)) for path in paths)


if __name__ == "__main__":
    sys.exit(main())
