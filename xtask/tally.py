# SPDX-License-Identifier: MIT OR Apache-2.0
"""One line for each check, then `N passed, N failed`: what `cargo xtask test layer` reads of the scripts beside this."""


def run(checks):
    """Runs pairs of a name and a function that raises what is wrong; gives the exit status. No check at all is a failure."""
    passed = failed = 0
    for name, check in checks:
        try:
            check()
            passed += 1
            print(f"ok {name}")
        except (Exception, SystemExit) as error:  # of any library; bb.fatal and bb.parse.SkipRecipe among them
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}")
    if not passed + failed:
        failed = 1
        print("FAILED: there was nothing to check")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
