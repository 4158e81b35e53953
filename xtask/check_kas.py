#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Hold a layer's kas files against kas's own schema, its workflows against that of GitHub: check_kas.py LAYER

Beyond the schema: what a file includes is there, and the lock has a commit for each repository that has a branch, and no other. A workflow
runs the kas of the version whose schema this is.

Needs kas and check-jsonschema (for their schemas), jsonschema and PyYAML. The last line is `N passed, N failed`; the exit status is 1 if any failed.
"""

import functools
import importlib.metadata
import importlib.util
import json
import pathlib
import re
import sys

import jsonschema
import tally
import yaml

COMMIT = re.compile("[0-9a-f]{40}")


def schema(package, path):
    """A schema that a package has, without running it."""
    folder = pathlib.Path(importlib.util.find_spec(package).origin).parent
    return json.loads((folder / path).read_text())


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


def check_workflow(layer, path, validator):
    """As check(), of a workflow."""
    text = path.read_text()
    # YAML 1.1 takes the key `on` for a truth value.
    validator.validate({"on" if key is True else key: value for key, value in yaml.safe_load(text).items()})
    version = importlib.metadata.version("kas")
    if f"/kas/{version}/kas-container" not in text:
        raise ValueError(f"fetches no kas-container of {version}")
    for name in re.findall(r"kas/[a-z]+/[a-z0-9-]+\.yml", text):
        if not (layer / name).is_file():
            raise FileNotFoundError(f"names {name}, which is not there")


def main():
    layer = pathlib.Path(sys.argv[1]).resolve()
    kas = jsonschema.Draft7Validator(schema("kas", "schema-kas.json"))
    workflows = jsonschema.Draft7Validator(schema("check_jsonschema", "builtin_schemas/vendor/github-workflows.json"))
    checks = []
    for path in sorted((layer / "kas").rglob("*.yml")):
        judge, validator = (check_workflow, workflows) if path.parent.name == "ci" else (check, kas)
        checks.append((path.relative_to(layer), functools.partial(judge, layer, path, validator)))
    return tally.run(checks)


if __name__ == "__main__":
    sys.exit(main())
