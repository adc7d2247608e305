#!/usr/bin/env python3
"""Writes 990 pipeline specs as people publish them, and 48 that are wrong, each with the line at which pv has to say so.

    public-specs.py FOLDER

FOLDER/good/      990 specs in YAML and JSON, in both styles of names, alone, several in a file, in lists
FOLDER/wrong/     one fault a file
FOLDER/wrong.tsv  file, line, and what is said there
FOLDER/repos      the repositories that the good ones read, a name a line
FOLDER/secrets    the secrets that they name: name and keys

The same each time. Every field that pv reads, ignores or takes for status occurs; tests and benchmarks use them.
"""

import json
import pathlib
import sys

COUNT = 990
REPOS = ["images", "model", "rules", "raw-data", "labels", "stores", "purchases", "urls", "csvs", "samples"]
SECRETS = {"mail": ["token", "user"], "db": ["password"]}
IMAGES = ["pachyderm/opencv:1.0", "python:3.11-slim", "acme/detect:2.4", "busybox:1.36", "r-base:4.3.1", "gcr.io/acme/train:v7"]


def leaf(n, **more):
    """One repository: of people, or the output of a pipeline that was written before; never a chain of more than ten."""
    if n >= 100 and n % 3 == 0:
        return {"repo": name(n - 99), "glob": ["/", "/*", "/**/*.json"][n % 3], **more}
    return {"repo": REPOS[n % len(REPOS)], "glob": ["/", "/*", "/*/*", "/*.{csv,txt}", "/cam[0-9]/*"][n % 5], **more}


def name(n):
    return ["edges", "montage", "train-model", "split_data", "report"][n % 5] + f"-{n}"


def inputs(n):
    kind = n % 9
    if kind == 0:
        return {"cross": [{"pfs": leaf(n)}, {"pfs": {"repo": "model", "name": "weights", "glob": "/"}}]}
    if kind == 1:
        return {"union": [{"pfs": leaf(n, name="in")}, {"pfs": {"repo": "labels", "name": "in", "glob": "/*"}}]}
    if kind == 2:
        return {"join": [{"pfs": {"repo": "stores", "glob": "/STOREID(*).txt", "join_on": "$1", "outer_join": n % 2 == 0}},
                         {"pfs": {"repo": "purchases", "glob": "/*_STOREID(*).txt", "join_on": "$1"}}]}
    if kind == 3:
        return {"group": [{"pfs": {"repo": "samples", "glob": "/(*)-*", "group_by": "$1", "empty_files": True}}]}
    if kind == 4:
        spec = ["@every 10m", "@daily", "@midnight", "*/5 9-17 * * MON-FRI", "@never"][n % 5]
        return {"cron": {"name": "tick", "spec": spec, "overwrite": n % 2 == 0, "start": "2026-01-01T00:00:00Z"}}
    if kind == 5:
        return {"cross": [{"join": [{"pfs": {"repo": "stores", "glob": "/(*)", "join_on": "$1"}},
                                    {"pfs": {"repo": "labels", "glob": "/(*)", "join_on": "$1"}}]}, {"pfs": {"repo": "rules", "glob": "/"}}]}
    if kind == 6:
        return {"pfs": leaf(n, lazy=n % 2 == 0, reference=n % 4 == 0, propagation_spec={"never": n % 4 == 2})}
    if kind == 7:
        return {"pfs": {"repo": "images", "branch": "staging", "glob": "/*", "trigger": {"commits": 3, "size": "1G", "all": True}}}
    return {"pfs" if n % 2 else "atom": leaf(n)}


def spec(n):
    """The n-th spec, in snake_case."""
    transform = {"image": IMAGES[n % len(IMAGES)], "cmd": ["python3", "/code/main.py", "--n", str(n)]}
    if n % 2:
        transform |= {"cmd": ["sh"], "stdin": ["for f in /pfs/*/*; do", f"  cp $f /pfs/out/{n}-$(basename $f)", "done"]}
    if n % 5 == 0:
        transform |= {"env": {"LEVEL": n, "DRY_RUN": True, "NAME": f"run {n}"}, "working_dir": "/srv", "user": "1000"}
    if n % 7 == 0:
        transform |= {"secrets": [{"name": "mail", "key": "token", "env_var": "TOKEN"}, {"name": "db", "mount_path": "/tmp/db/"}]}
    if n % 11 == 0:
        transform |= {"err_cmd": ["true"], "err_stdin": ["exit 0"], "accept_return_code": [4, "5", 6.0]}
    if n % 13 == 0:
        transform |= {"image_pull_secrets": ["registry"], "debug": True, "dockerfile": "Dockerfile", "memory_volume": True}
    if n % 17 == 0:
        transform |= {"network": "none"}
    found = {"pipeline": {"name": name(n)}, "description": f"Pipeline {n}: what it does, in a line.", "transform": transform, "input": inputs(n)}
    if n % 3 == 0:
        found |= {"parallelism_spec": {"constant": str(1 + n % 8)}, "datum_tries": "2"}
    if n % 4 == 0:
        found |= {"resource_requests": {"cpu": 0.5, "memory": "256Mi", "disk": "1Gi"}, "resource_limits": {"memory": "2G"}}
    if n % 10 == 0:
        found |= {"resource_limits": {"gpu": {"type": "nvidia.com/gpu", "number": 1}}, "scheduling_spec": {"node_selector": {"pool": "gpu"}}}
    if n % 6 == 0:
        found |= {"datum_timeout": "90s", "job_timeout": "1h30m", "reprocess_spec": ["until_success", "every_job"][n % 2], "salt": n}
    if n % 8 == 0:
        found |= {"metadata": {"annotations": {"team": "vision"}, "labels": {"n": n}}, "autoscaling": True}
    if n % 9 == 8:
        found |= {"standby": True, "enable_stats": True, "cache_size": "1G", "max_queue_size": 3, "chunk_spec": {"number": 10}}
    if n % 12 == 0:
        found |= {"pod_spec": "{}", "pod_patch": "", "datum_set_spec": {"number": 5}, "tolerations": [], "maximum_expected_uptime": "5m"}
    if n % 14 == 0:
        found |= {"sidecar_resource_requests": {"cpu": 1}, "sidecar_resource_limits": {"memory": "1G"}}
    if n % 15 == 0:
        found |= {"version": n, "state": "PIPELINE_RUNNING", "stopped": False, "created_at": "2024-01-01T00:00:00Z", "auth_token": ""}
    if n % 16 == 0:
        found |= {"$schema": "https://example.org/pipeline.schema.json", "update": True, "reprocess": False, "dry_run": False}
    if n % 19 == 0:
        found["pipeline"]["project"] = {"name": "default"}
    return found


def camel(value):
    """The same in camelCase; what users name themselves stays."""
    own = {"env", "annotations", "labels"}
    if isinstance(value, dict):
        def key(text):
            first, *rest = text.split("_")
            return text if text.startswith("$") else first + "".join(part.capitalize() for part in rest)
        return {key(k): v if k in own else camel(v) for k, v in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


def yaml(value, depth=0):
    """Block YAML as people write it, with True and .5 as programs do."""
    pad = "  " * depth
    if isinstance(value, dict) and value:
        return "".join(f"\n{pad}{quoted(k)}:{yaml(v, depth + 1)}" for k, v in value.items())
    if isinstance(value, list) and value:
        if all(not isinstance(item, (dict, list)) for item in value):
            return " [" + ", ".join(scalar(item) for item in value) + "]"
        return "".join(f"\n{pad}-{yaml(item, depth + 1).lstrip(chr(10)).replace('  ' * (depth + 1), ' ', 1)}" for item in value)
    return " " + ({} == value and "{}" or [] == value and "[]" or scalar(value))


def scalar(value):
    if isinstance(value, float):
        return repr(value).removeprefix("0")
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text):
    plain = text and all(c.isalnum() or c in "_-./" for c in text) and text[0].isalpha()
    return text if plain and text.lower() not in ("true", "false", "null", "yes", "no", "on", "off") else json.dumps(text)


def good(folder):
    n = 0
    while n < COUNT:
        form, path = n % 6, folder / f"{n:04}"
        if form == 0:
            path.with_suffix(".json").write_text(json.dumps(camel(spec(n)), indent=2) + "\n")
        elif form == 1:
            path.with_suffix(".json").write_text(json.dumps(spec(n)))
        elif form == 2:
            path.with_suffix(".yml").write_text("# published\n---" + yaml(spec(n)) + "\n")
        elif form == 3:
            path.with_suffix(".yaml").write_bytes(("\ufeff" + yaml(camel(spec(n))).lstrip() + "\n").replace("\n", "\r\n").encode())
        elif form == 4:
            path.with_suffix(".json").write_text("\n".join(json.dumps(camel(spec(n + i)), indent="\t") for i in range(min(2, COUNT - n))))
            n += 1
        n += 1
        if form == 5:
            path.with_suffix(".json").write_text(json.dumps([spec(n - 1)], indent=4))


FAULTS = [
    # what is put in place of what, and what is said at the line where that stands
    ('"glob": "/*"', '"globb": "/*"', "unknown field `globb`"),
    ('"glob": "/*"', '"glob": "/[a"', "is not a glob"),
    ('"repo": "images"', '"repo": "imag es"', "`repo`"),
    ('"repo": "images"', '"repo": "images", "branch": "a b"', "`branch`"),
    ('"repo": "images"', '"repo": "images", "project": "vision"', "pv supports `project` only as `default`"),
    ('"repo": "images"', '"repo": "images", "commit": "0a"', "`commit` is not supported"),
    ('"repo": "images"', '"repo": "images", "s3": true', "`s3` is not supported"),
    ('"repo": "images"', '"repo": "images", "repoType": "meta"', "`repoType` is not supported"),
    ('"repo": "images"', '"repo": "images", "name": "out"', "`out` cannot name an input"),
    ('"repo": "images"', '"repo": "images", "name": "PATH"', "`PATH` cannot name an input"),
    ('"repo": "images"', '"repo": "images", "lazy": "maybe"', "`lazy`: expected `true` or `false`"),
    ('"repo": "images"', '"repo": "images", "trigger": {"cron_spec": "0 0 31 2 *"}', "never ticks"),
    ('"repo": "images"', '"repo": "images", "trigger": {"all": true}', "the trigger has no condition"),
    ('"pfs": {', '"spout": {}, "pfs": {', "unknown field `spout`"),
    ('"pfs": {', '"git": {"url": "x"}, "pfs": {', "`git` is not supported"),
    ('"pfs": {', '"cross": [{"pfs": {"repo": "a", "glob": "/"}}], "pfs": {', "the input has both"),
    ('"name": "wrong"', '"name": "wrong_"', "not a legal pipeline name"),
    ('"name": "wrong"', '"nmae": "wrong"', "unknown field `nmae`"),
    ('"name": "wrong"', '"name": "wrong", "project": {"name": "vision"}', "pv supports `project` only as `default`"),
    ('"cmd": ["sh"]', '"cmd": "sh"', "`cmd`: expected a list"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "env": {"images": "x"}', "input `images` sets it"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "env": {"PACH_JOB_ID": "x"}', "pv sets it"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "env": {"A": null}', "has no value"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "datumBatching": true', "`datumBatching` is not supported"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "working_dir": "srv"', "expected an absolute path"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "errStdin": ["x"]', "has no effect without"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "acceptReturnCode": [999]', "expected exit codes"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "secrets": [{"name": "s"}]', "is not used"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "secrets": [{"name": "s", "envVar": "X"}]', "no `key`"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "secrets": [{"name": "s", "mountPath": "/pfs/x"}]', "cannot hold a secret"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "code_path": "/app"', "there is no code to mount there"),
    ('"cmd": ["sh"]', '"cmd": ["sh"], "network": "host"', "expected `none` or `default`"),
    ('"datumTries": 2', '"datumTries": "many"', "expected a whole number"),
    ('"datumTries": 2', '"datumTimeout": "fast"', "is not a duration"),
    ('"datumTries": 2', '"jobTimeout": "0s"', "a duration of more than zero"),
    ('"datumTries": 2', '"parallelismSpec": {"coefficient": 2}', "`coefficient` is not supported"),
    ('"datumTries": 2', '"reprocessSpec": "sometimes"', "expected `until_success` or `every_job`"),
    ('"datumTries": 2', '"resourceLimits": {"memory": "lots"}', "is not an amount"),
    ('"datumTries": 2', '"egress": {"URL": "s3://x"}', "`egress` is not supported"),
    ('"datumTries": 2', '"service": {"internalPort": 80}', "`service` is not supported"),
    ('"datumTries": 2', '"spout": {}', "`spout` is not supported"),
    ('"datumTries": 2', '"s3Out": true', "`s3Out` is not supported"),
    ('"datumTries": 2', '"determined": {"workspaces": []}', "`determined` is not supported"),
    ('"datumTries": 2', '"tfJob": {}', "`tfJob` is not supported"),
    ('"datumTries": 2', '"descripton": "x"', "unknown field `descripton`"),
    ('"datumTries": 2', '"datumTries": 2,,', "not valid YAML or JSON"),
    ('"pfs": {', '"join": [{"pfs": {"repo": "a", "glob": "/(*)", "join_on": "$1"}}, {"pfs": {"repo": "b", "glob": "/"}}], "x": {', "`b` has no `join_on`"),
    ('"pfs": {', '"cron": {"name": "t", "spec": "@reboot"}, "x": {', "is not a schedule"),
]
SOUND = """{
  "pipeline": {"name": "wrong"},
  "transform": {
    "image": "busybox:1.36",
    "cmd": ["sh"]
  },
  "input": {
    "pfs": {"repo": "images",
      "glob": "/*"}
  },
  "datumTries": 2
}
"""


def wrong(folder, listing):
    lines = []
    for n, (sound, fault, said) in enumerate(FAULTS):
        text = SOUND.replace(sound, fault, 1)
        assert text != SOUND, sound
        line = text[: text.index(fault)].count("\n") + 1
        (folder / f"{n:02}.json").write_text(text)
        lines.append(f"{n:02}.json\t{line}\t{said}\n")
    listing.write_text("".join(lines))


def main():
    folder = pathlib.Path(sys.argv[1])
    for part in ("good", "wrong"):
        (folder / part).mkdir(parents=True)
    good(folder / "good")
    wrong(folder / "wrong", folder / "wrong.tsv")
    (folder / "repos").write_text("".join(f"{repo}\n" for repo in REPOS))
    (folder / "secrets").write_text("".join(f"{secret} {' '.join(keys)}\n" for secret, keys in SECRETS.items()))


main()
