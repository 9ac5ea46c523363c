"""Runs in the container: which Python, packages and programs it has. Prints one JSON object. Valid Python 3.5."""

import importlib.util
import json
import shutil
import sys

import pkg_resources

MODULES, PROGRAMS = sys.argv[1].split(","), sys.argv[2].split(",")


def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


versions = {dist.project_name.lower(): dist.version for dist in pkg_resources.working_set}
print(
    json.dumps(
        {
            "python": list(sys.version_info[:3]),
            "modules": [name for name in MODULES if there(name)],
            "programs": [name for name in PROGRAMS if shutil.which(name)],
            "versions": versions,
        }
    )
)
