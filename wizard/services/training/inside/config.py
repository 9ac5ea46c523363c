"""Runs in the container: what a configuration says. Prints one JSON object in its last line. Valid Python 3.5."""

import json
import runpy
import sys
import traceback


def scalars(tree, above=""):
    found = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found.update(scalars(value, above + str(key) + "/"))
        elif isinstance(value, (bool, int, float, str)):
            found[above + str(key)] = value
    return found


def named(value):
    return getattr(value, "__name__", None) or getattr(value, "name", None) or str(value)


def files(section):
    layer = (section or {}).get("data_layer_params") or {}
    found = []
    for key in ("dataset_files", "source_file", "target_file", "dataset_location"):
        value = layer.get(key)
        found += [value] if isinstance(value, str) else list(value or [])
    return [str(value) for value in found]


def main(path):
    sys.path.insert(0, "")
    try:
        import tensorflow as tf

        config = runpy.run_path(path, init_globals={"tf": tf})
    except BaseException as error:
        return {"error": traceback.format_exc(limit=-2), "kind": type(error).__name__}
    base = config.get("base_params")
    if not isinstance(base, dict) or "base_model" not in config:
        return {"error": "there is no base_params or no base_model", "kind": "ValueError"}
    shared = base.get("data_layer_params") or {}
    sections = {}
    for name in ("train", "eval", "infer"):
        section = config.get(name + "_params")
        if isinstance(section, dict):
            merged = dict(section)
            merged["data_layer_params"] = dict(shared, **(section.get("data_layer_params") or {}))
            sections[name] = files(merged)
    return {
        "model": named(config["base_model"]),
        "dtype": named(base.get("dtype")),
        "scalars": scalars(base),
        "files": sections,
        "gpu_only": str(scalars(base).get("encoder_params/use_cudnn_rnn")) == "True",
    }


print()
print(json.dumps(main(sys.argv[1])))
