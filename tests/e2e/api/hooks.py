"""What schemathesis is told of pv: texts of its own formats, bodies that are not JSON, and what not to take from under itself."""

import hashlib
import io
import itertools
import tarfile

import schemathesis
from hypothesis import strategies as st

# Names that exist in the store of the test, and some that do not.
REPOS = st.sampled_from(["notes", "other", "copy", "nothing"])
REVISIONS = st.sampled_from(["main", "first", "main~1", "main^", "beef", "main@{3 days ago}", "{2026-01-31}", "main@beef0123"])
PATHS = st.sampled_from(["", ":/", ":/a", ":/d", ":/d/e", ":/nothing"])
REFERENCES = st.builds(lambda repo, revision, path: f"{repo}{revision}{path}", REPOS, st.just("") | REVISIONS.map("@{}".format), PATHS)
GLOBS = st.sampled_from(["*", "/*", "/**", "/a", "/{a,b}", "/[ab]?", "/@(a|b)/*", "/!(a)", r"/\*"])

FORMATS = {
    "pv-revision": REVISIONS,
    "pv-reference": REFERENCES,
    "pv-source": REFERENCES | st.sampled_from(["ab" * 32, "sha256:" + "cd" * 32]),
    "pv-target": st.sampled_from(["notes", "copy", "notes@main", "notes:/a", "@beef0123", "copy@beef0123"]),
    "pv-glob": GLOBS,
    "pv-repo-glob": st.sampled_from(["*", "notes", "note*", "{notes,other}", "n?tes"]),
    "pv-duration": st.sampled_from(["0s", "500ms", ".5s", "0.01m", "1s1ms"]),
    "pv-rule": st.sampled_from(["job failed", "job recovered copy", "new file /* in notes", "record notes a=1", "pipeline behind 3", "disk low"]),
    "pv-quiet-hours": st.sampled_from(["22:00-07:00[UTC]", "9:30-10:00[Europe/Berlin]"]),
    "pv-notify-target": st.sampled_from(["mailto:anna@example.com", "https://127.0.0.1:1/"]),  # nothing leaves this machine
    "pv-cursor": st.just("e30"),  # the position before the first item
}
for name, texts in FORMATS.items():
    schemathesis.openapi.format(name, texts)


def chunks(contents):
    """A list of chunks as `POST /objects` takes it; as content of a file it is as good as any other."""
    one = lambda content: hashlib.sha256(content).digest() + len(content).to_bytes(4, "big") + content
    return b"".join(map(one, contents))


def archive(files):
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as tar:
        for name, content in files.items():
            head = tarfile.TarInfo(name)
            head.size = len(content)
            tar.addfile(head, io.BytesIO(content))
    return into.getvalue()


NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
schemathesis.openapi.media_type("application/octet-stream", st.lists(st.binary(max_size=100), max_size=3).map(chunks))
schemathesis.openapi.media_type("application/x-tar", st.dictionaries(NAMES, st.binary(max_size=100), max_size=3).map(archive))

# The tokens of the test itself, and settings after which the server does not take uploads or run jobs.
KEPT = {"name": {"admin", "writer", "reader", "limited"}, "key": {"min_free", "executor", "process.paths"}}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    for name, kept in KEPT.items():
        if path_parameters and path_parameters.get(name) in kept:
            path_parameters[name] = "nothing"
    return path_parameters


NUMBERS = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Each request comes from another address, as if through a proxy: ten wrong tokens from one would be followed by 429."""
    about = getattr(getattr(case.meta, "phase", None), "data", None)
    if (getattr(about, "parameter", None) or "").lower() == "authorization":
        return  # A request without a token counts as nothing; with another header it would get the token again.
    number = next(NUMBERS)  # not by chance: hypothesis sets the seed of `random` again and again
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    case.headers["X-Forwarded-For"] = address
