//! How to check a bundle without `pv`.

use super::Claim;

/// The text of `README.txt`. Its commands work when pasted into a shell in the folder of the unpacked bundle; a test checks that. `code`:
/// the files of the stages' code, one a line.
pub(super) fn text(claim: &Claim, code: &str) -> String {
    let Claim { store, made_by, repo, commit, paths, key, .. } = claim;
    let code = if code.is_empty() {
        String::new()
    } else {
        format!(
            "\nThe code of the stages, as it was laid out at /code; each file has the SHA-256 of its bytes as its name here:\n\n{code}"
        )
    };
    let what = match &paths[..] {
        [] => "all files of this commit".to_owned(),
        [path] => format!("the file {path} of this commit"),
        paths => format!("{} files of this commit", paths.len()),
    };
    format!(
        r#"Where {what} came from
=======================================================================

repository  {repo}
commit      {commit}
store       {store}
key         {key}
written by  {made_by}

Open index.html in a browser to read it (if it is there: it is for a single file), or trace.json.

This bundle needs neither the store nor pv. Unpack it, and in its folder:

1. Nothing was changed since it was written:

    sha256sum --quiet -c SHA256SUMS && echo whole

2. Whoever holds the key vouches for all of it:

    openssl pkeyutl -verify -pubin -inkey keys/{key}.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig

   Whose key that is no file can say. Ask the owner of the store for its fingerprint (pv key show), and compare it with

    openssl pkey -pubin -in keys/{key}.pem -outform DER | sha256sum

3. Each commit was signed when it was made:

    for sig in signatures/*.sig; do name=${{sig#signatures/}}; commit=${{name%%.*}}; key=${{name#*.}}; key=${{key%.sig}}; openssl pkeyutl -verify -pubin -inkey keys/$key.pem -rawin -in objects/commit/$commit -sigfile $sig >/dev/null && echo "signed $commit" || echo "BAD $commit"; done

4. Everything is named by the SHA-256 of its bytes: a commit names its tree and its input commits, a tree its files, a result its recipe,
   a recipe its inputs. So the names below are what their content makes them:

    for kind in objects/*; do (cd $kind && for file in *; do echo "$file  $file"; done | sha256sum --quiet -c -); done && echo named by content

   A file that you have is the one that is meant if sha256sum of it is the digest that trace.json says.

With pv, all of it at once, the links between the documents too:

    pv verify --bundle BUNDLE.zip --key KEY.pem

intoto.jsonl holds the same as in-toto Statements in DSSE envelopes, one a line, for programs that know them.
{code}"#
    )
}
