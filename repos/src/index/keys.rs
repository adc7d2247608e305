//! The layout of the index's keys: one prefix byte, then parts. Numbers are big-endian; a text part ends in a zero byte if another part
//! follows (names contain none).

use specs::{BranchName, CommitId, DatumId, Digest, PipelineName, RepoName, RunId};

use crate::base::pack_name::PackName;
use crate::base::time::Timestamp;

/// The kind of a key. The bytes are part of the index's version.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Prefix {
    /// Version, journal position, counters, store id.
    Meta = b'm',
    /// (kind, digest) → where the object is.
    Object = b'o',
    /// pack number → pack name.
    PackNumber = b'n',
    /// pack name → pack number.
    Pack = b'p',
    /// name of a pack removed by garbage collection.
    RemovedPack = b'g',
    /// repository.
    Repo = b'R',
    /// (repository, branch).
    Branch = b'b',
    /// (repository, tag).
    Tag = b't',
    /// (repository, branch, run order) → the branch's commit from that run on.
    Head = b'h',
    /// (repository, branch, number of the record, run order) → where the branch moved to, also of branches that were deleted.
    Move = b'B',
    /// (repository, number of the record): repositories that were deleted.
    EndedRepo = b'D',
    /// (pipeline, number of the record): pipelines that were deleted.
    EndedPipeline = b'L',
    /// run order → run.
    Run = b'r',
    /// run id → run order.
    RunOrder = b'i',
    /// (run order, pipeline) → job.
    Job = b'j',
    /// (pipeline, run order): the jobs of a pipeline.
    PipelineJob = b'J',
    /// (run order, pipeline): jobs that are not sealed yet.
    OpenJob = b'a',
    /// pipeline → its newest version.
    Pipeline = b'l',
    /// (pipeline, version) → version document.
    Version = b'v',
    /// commit id → repository and run.
    Commit = b'c',
    /// (recipe, time, result digest): the results of a recipe.
    Result = b'q',
    /// setting → value.
    Setting = b's',
    /// fingerprint → public key.
    Key = b'k',
    /// fingerprint → the range of records in which the key was in use.
    KeySpan = b'K',
    /// (level, index): the hash of a complete subtree of the tree over the journal's records.
    Subtree = b'M',
    /// (commit id, digest of a signature): the signatures of a commit.
    Signature = b'S',
    /// (commit id, digest of a certificate): the certificates of a commit.
    Certificate = b'E',
    /// commit id → what its document states that must agree with the journal.
    Said = b'C',
    /// (number of journal records, commit id) → digest of the last of these records, according to the commit's document.
    Witness = b'W',
    /// number of a record → why it does not count as vouched for.
    Doubt = b'U',
    /// (run order, commit id): commits that are not in the history index yet, with the progress of each.
    Waiting = b'w',
    /// commit id → its number in the history index.
    Number = b'#',
    /// number → the commit and its position among its ancestors.
    Link = b'N',
    /// (repository, path, depth, number) → what the commit with this number did to the path.
    PathChange = b'y',
    /// (first half of a file's digest, repository, path): some commit gave the path this content.
    Holder = b'z',
}

fn key(prefix: Prefix, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![prefix as u8];
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

const END: &[u8] = &[0];

pub(crate) fn meta(name: &str) -> Vec<u8> {
    key(Prefix::Meta, &[name.as_bytes()])
}
pub(crate) fn object(kind: u8, digest: &Digest) -> Vec<u8> {
    key(Prefix::Object, &[&[kind], digest.as_bytes()])
}
/// The common prefix of the keys of objects of a kind whose digest begins with `bytes`.
pub(crate) fn objects_from(kind: u8, bytes: &[u8]) -> Vec<u8> {
    key(Prefix::Object, &[&[kind], bytes])
}
/// The common prefix of the keys of all objects.
pub(crate) fn objects() -> Vec<u8> {
    key(Prefix::Object, &[])
}
/// Whether a row does not follow from the journal: it comes from packs, including history rows, or is about the index itself.
pub(crate) fn is_from_packs(key: &[u8]) -> bool {
    let histories = [Prefix::Waiting, Prefix::Number, Prefix::Link, Prefix::PathChange, Prefix::Holder];
    // Doubts count separately from the journal's rows, because a reader leaves the checking of signatures to a writer.
    let packs = [Prefix::Object, Prefix::Pack, Prefix::PackNumber, Prefix::Doubt];
    let prefixes = packs.into_iter().chain(ABOUT_OBJECTS).chain(histories).collect::<Vec<_>>();
    let of_index = [
        super::apply::meta::VERSION,
        super::apply::meta::NEXT_PACK,
        super::apply::meta::HISTORY,
        super::apply::meta::CHECKED,
    ];
    prefixes.iter().any(|prefix| key.first() == Some(&(*prefix as u8))) || of_index.iter().any(|name| key == meta(name))
}
/// The rows that say what an object belongs to: those of a result, signature, certificate or commit.
const ABOUT_OBJECTS: [Prefix; 5] =
    [Prefix::Result, Prefix::Signature, Prefix::Certificate, Prefix::Said, Prefix::Witness];

/// Whether a row says what an object belongs to.
pub(crate) fn is_about_object(key: &[u8]) -> bool {
    ABOUT_OBJECTS.iter().any(|prefix| key.first() == Some(&(*prefix as u8)))
}
pub(crate) fn pack_number(number: u32) -> Vec<u8> {
    key(Prefix::PackNumber, &[&number.to_be_bytes()])
}
/// The common prefix of the keys of packs; the name follows.
pub(crate) fn packs() -> Vec<u8> {
    key(Prefix::Pack, &[])
}
pub(crate) fn pack(name: &PackName) -> Vec<u8> {
    key(Prefix::Pack, &[name.to_string().as_bytes()])
}
pub(crate) fn removed_pack(name: &PackName) -> Vec<u8> {
    key(Prefix::RemovedPack, &[name.to_string().as_bytes()])
}
pub(crate) fn repos() -> Vec<u8> {
    key(Prefix::Repo, &[])
}
pub(crate) fn repo(repo: &RepoName) -> Vec<u8> {
    key(Prefix::Repo, &[repo.as_str().as_bytes()])
}
pub(crate) fn branches(repo: &RepoName) -> Vec<u8> {
    key(Prefix::Branch, &[repo.as_str().as_bytes(), END])
}
/// Branches and tags share one name space, so the name is passed as text.
pub(crate) fn branch(repo: &RepoName, branch: &str) -> Vec<u8> {
    key(Prefix::Branch, &[repo.as_str().as_bytes(), END, branch.as_bytes()])
}
pub(crate) fn tags(repo: &RepoName) -> Vec<u8> {
    key(Prefix::Tag, &[repo.as_str().as_bytes(), END])
}
pub(crate) fn tag(repo: &RepoName, tag: &str) -> Vec<u8> {
    key(Prefix::Tag, &[repo.as_str().as_bytes(), END, tag.as_bytes()])
}
pub(crate) fn heads_of_repo(repo: &RepoName) -> Vec<u8> {
    key(Prefix::Head, &[repo.as_str().as_bytes(), END])
}
pub(crate) fn heads(repo: &RepoName, branch: &str) -> Vec<u8> {
    key(Prefix::Head, &[repo.as_str().as_bytes(), END, branch.as_bytes(), END])
}
pub(crate) fn head(repo: &RepoName, branch: &str, order: u64) -> Vec<u8> {
    key(Prefix::Head, &[repo.as_str().as_bytes(), END, branch.as_bytes(), END, &order.to_be_bytes()])
}
/// The common prefix of the keys of the moves of all branches that a repository has or had.
pub(crate) fn moves_of_repo(repo: &RepoName) -> Vec<u8> {
    key(Prefix::Move, &[repo.as_str().as_bytes(), END])
}
pub(crate) fn moves(repo: &RepoName, branch: &str) -> Vec<u8> {
    key(Prefix::Move, &[repo.as_str().as_bytes(), END, branch.as_bytes(), END])
}
/// Sorted by record within a branch.
pub(crate) fn branch_move(repo: &RepoName, branch: &str, record: u64, order: u64) -> Vec<u8> {
    let (record, order) = (record.to_be_bytes(), order.to_be_bytes());
    key(Prefix::Move, &[repo.as_str().as_bytes(), END, branch.as_bytes(), END, &record, &order])
}
/// Branch and run order, decoded from the key of a move in `repo`.
pub(crate) fn in_branch_move(key: &[u8], repo: &RepoName) -> Option<(BranchName, u64)> {
    let (rest, order) = key.split_last_chunk::<8>()?;
    let (rest, _) = rest.split_last_chunk::<8>()?;
    let branch = rest.strip_suffix(END)?.get(repo.as_str().len() + 2..)?;
    Some((std::str::from_utf8(branch).ok()?.parse().ok()?, u64::from_be_bytes(*order)))
}
/// The common prefix of the keys of all repositories that were deleted.
pub(crate) fn ended_repos() -> Vec<u8> {
    key(Prefix::EndedRepo, &[])
}
/// The common prefix of the keys of the repositories with this name that were deleted.
pub(crate) fn ended_repos_named(repo: &RepoName) -> Vec<u8> {
    key(Prefix::EndedRepo, &[repo.as_str().as_bytes(), END])
}
pub(crate) fn ended_repo(repo: &RepoName, record: u64) -> Vec<u8> {
    key(Prefix::EndedRepo, &[repo.as_str().as_bytes(), END, &record.to_be_bytes()])
}
/// The name, decoded from the key of a repository that was deleted.
pub(crate) fn in_ended_repo(key: &[u8]) -> Option<RepoName> {
    let (rest, _) = key.split_last_chunk::<8>()?;
    std::str::from_utf8(rest.strip_suffix(END)?.get(1..)?).ok()?.parse().ok()
}
/// The common prefix of the keys of the pipelines with this name that were deleted.
pub(crate) fn ended_pipelines_named(pipeline: &PipelineName) -> Vec<u8> {
    key(Prefix::EndedPipeline, &[pipeline.as_str().as_bytes(), END])
}
pub(crate) fn ended_pipeline(pipeline: &PipelineName, record: u64) -> Vec<u8> {
    key(Prefix::EndedPipeline, &[pipeline.as_str().as_bytes(), END, &record.to_be_bytes()])
}
pub(crate) fn runs() -> Vec<u8> {
    key(Prefix::Run, &[])
}
pub(crate) fn run(order: u64) -> Vec<u8> {
    key(Prefix::Run, &[&order.to_be_bytes()])
}
/// The common prefix of the keys of runs whose id begins with `bytes`.
pub(crate) fn run_orders_from(bytes: &[u8]) -> Vec<u8> {
    key(Prefix::RunOrder, &[bytes])
}
pub(crate) fn run_order(run: &RunId) -> Vec<u8> {
    key(Prefix::RunOrder, &[run.as_bytes()])
}
pub(crate) fn jobs() -> Vec<u8> {
    key(Prefix::Job, &[])
}
pub(crate) fn jobs_of_run(order: u64) -> Vec<u8> {
    key(Prefix::Job, &[&order.to_be_bytes()])
}
pub(crate) fn job(order: u64, pipeline: &PipelineName) -> Vec<u8> {
    key(Prefix::Job, &[&order.to_be_bytes(), pipeline.as_str().as_bytes()])
}
pub(crate) fn jobs_of_pipeline(pipeline: &PipelineName) -> Vec<u8> {
    key(Prefix::PipelineJob, &[pipeline.as_str().as_bytes(), END])
}
pub(crate) fn pipeline_job(pipeline: &PipelineName, order: u64) -> Vec<u8> {
    key(Prefix::PipelineJob, &[pipeline.as_str().as_bytes(), END, &order.to_be_bytes()])
}
pub(crate) fn open_jobs() -> Vec<u8> {
    key(Prefix::OpenJob, &[])
}
pub(crate) fn open_job(order: u64, pipeline: &PipelineName) -> Vec<u8> {
    key(Prefix::OpenJob, &[&order.to_be_bytes(), pipeline.as_str().as_bytes()])
}
pub(crate) fn pipelines() -> Vec<u8> {
    key(Prefix::Pipeline, &[])
}
pub(crate) fn pipeline(pipeline: &PipelineName) -> Vec<u8> {
    key(Prefix::Pipeline, &[pipeline.as_str().as_bytes()])
}
/// The common prefix of the keys of all versions of all pipelines.
pub(crate) fn all_versions() -> Vec<u8> {
    key(Prefix::Version, &[])
}
pub(crate) fn versions(pipeline: &PipelineName) -> Vec<u8> {
    key(Prefix::Version, &[pipeline.as_str().as_bytes(), END])
}
pub(crate) fn version(pipeline: &PipelineName, version: u32) -> Vec<u8> {
    key(Prefix::Version, &[pipeline.as_str().as_bytes(), END, &version.to_be_bytes()])
}
pub(crate) fn commit(commit: &CommitId) -> Vec<u8> {
    key(Prefix::Commit, &[commit.digest().as_bytes()])
}
/// The common prefix of the keys of commits whose id begins with `bytes`.
pub(crate) fn commits_from(bytes: &[u8]) -> Vec<u8> {
    key(Prefix::Commit, &[bytes])
}
pub(crate) fn results(recipe: &DatumId) -> Vec<u8> {
    key(Prefix::Result, &[recipe.digest().as_bytes()])
}
/// The common prefix of the keys of results whose recipe begins with `bytes`.
pub(crate) fn results_from(bytes: &[u8]) -> Vec<u8> {
    key(Prefix::Result, &[bytes])
}
/// Sorted by time within a recipe, the newest last.
pub(crate) fn result(recipe: &DatumId, at: Timestamp, result: &Digest) -> Vec<u8> {
    let micros = at.as_micros().max(0).to_be_bytes();
    key(Prefix::Result, &[recipe.digest().as_bytes(), &micros, result.as_bytes()])
}
/// When a result ended, and its digest, decoded from its key.
pub(crate) fn result_in(key: &[u8]) -> Option<(Timestamp, Digest)> {
    let (rest, digest) = key.split_last_chunk::<32>()?;
    let (_, micros) = rest.split_last_chunk::<8>()?;
    Some((Timestamp::from_micros(i64::from_be_bytes(*micros)), Digest::from_bytes(*digest)))
}
pub(crate) fn settings() -> Vec<u8> {
    key(Prefix::Setting, &[])
}
pub(crate) fn setting(name: &str) -> Vec<u8> {
    key(Prefix::Setting, &[name.as_bytes()])
}
/// The common prefix of the keys of all commits that wait for the history index.
pub(crate) fn all_waiting() -> Vec<u8> {
    key(Prefix::Waiting, &[])
}
pub(crate) fn waiting(order: u64, commit: &CommitId) -> Vec<u8> {
    key(Prefix::Waiting, &[&order.to_be_bytes(), commit.digest().as_bytes()])
}
pub(crate) fn number(commit: &CommitId) -> Vec<u8> {
    key(Prefix::Number, &[commit.digest().as_bytes()])
}
pub(crate) fn link(number: u32) -> Vec<u8> {
    key(Prefix::Link, &[&number.to_be_bytes()])
}
/// The common prefix of the keys of the changes of all paths that begin with `start`.
pub(crate) fn path_changes_from(repo: &RepoName, start: &str) -> Vec<u8> {
    key(Prefix::PathChange, &[repo.as_str().as_bytes(), END, start.as_bytes()])
}
/// The common prefix of the keys of the changes of one path.
pub(crate) fn path_changes(repo: &RepoName, path: &str) -> Vec<u8> {
    key(Prefix::PathChange, &[repo.as_str().as_bytes(), END, path.as_bytes(), END])
}
pub(crate) fn path_change(repo: &RepoName, path: &str, depth: u32, number: u32) -> Vec<u8> {
    let (depth, number) = (depth.to_be_bytes(), number.to_be_bytes());
    key(Prefix::PathChange, &[repo.as_str().as_bytes(), END, path.as_bytes(), END, &depth, &number])
}
/// Path, depth and number, decoded from the key of a change in `repo`.
pub(crate) fn in_path_change<'k>(key: &'k [u8], repo: &RepoName) -> Option<(&'k [u8], u32, u32)> {
    let (rest, number) = key.split_last_chunk::<4>()?;
    let (rest, depth) = rest.split_last_chunk::<4>()?;
    let path = rest.strip_suffix(END)?.get(repo.as_str().len() + 2..)?;
    Some((path, u32::from_be_bytes(*depth), u32::from_be_bytes(*number)))
}
/// The common prefix of the keys of the paths that have or had this content.
pub(crate) fn holders(digest: &Digest) -> Vec<u8> {
    key(Prefix::Holder, &[&digest.as_bytes()[..16]])
}
pub(crate) fn holder(digest: &Digest, repo: &RepoName, path: &str) -> Vec<u8> {
    key(Prefix::Holder, &[&digest.as_bytes()[..16], repo.as_str().as_bytes(), END, path.as_bytes()])
}
/// Repository and path, decoded from the key of a holder.
pub(crate) fn in_holder(key: &[u8]) -> Option<(RepoName, specs::FilePath)> {
    let rest = key.get(17..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let repo = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((repo, specs::FilePath::from_bytes(&rest[end + 1..]).ok()?))
}

/// The common prefix of the keys of signing keys; the fingerprint follows.
pub(crate) fn signing_keys() -> Vec<u8> {
    key(Prefix::Key, &[])
}
pub(crate) fn signing_key(fingerprint: &Digest) -> Vec<u8> {
    key(Prefix::Key, &[fingerprint.as_bytes()])
}
pub(crate) fn key_span(fingerprint: &Digest) -> Vec<u8> {
    key(Prefix::KeySpan, &[fingerprint.as_bytes()])
}
pub(crate) fn subtree(level: u32, index: u64) -> Vec<u8> {
    let level = u8::try_from(level).expect("a tree has at most 64 levels");
    key(Prefix::Subtree, &[&[level], &index.to_be_bytes()])
}
pub(crate) fn signatures(commit: &CommitId) -> Vec<u8> {
    key(Prefix::Signature, &[commit.digest().as_bytes()])
}
pub(crate) fn signature(commit: &CommitId, signature: &Digest) -> Vec<u8> {
    key(Prefix::Signature, &[commit.digest().as_bytes(), signature.as_bytes()])
}
pub(crate) fn certificates(commit: &CommitId) -> Vec<u8> {
    key(Prefix::Certificate, &[commit.digest().as_bytes()])
}
pub(crate) fn certificate(commit: &CommitId, certificate: &Digest) -> Vec<u8> {
    key(Prefix::Certificate, &[commit.digest().as_bytes(), certificate.as_bytes()])
}

pub(crate) fn said(commit: &CommitId) -> Vec<u8> {
    key(Prefix::Said, &[commit.digest().as_bytes()])
}
/// The common prefix of the keys of all witnesses.
pub(crate) fn witnesses() -> Vec<u8> {
    key(Prefix::Witness, &[])
}
pub(crate) fn witness(records: u64, commit: &CommitId) -> Vec<u8> {
    key(Prefix::Witness, &[&records.to_be_bytes(), commit.digest().as_bytes()])
}
/// Number of journal records, and the commit, decoded from the key of a witness.
pub(crate) fn in_witness(key: &[u8]) -> Option<(u64, CommitId)> {
    let (rest, commit) = key.split_last_chunk::<32>()?;
    let (_, records) = rest.split_last_chunk::<8>()?;
    Some((u64::from_be_bytes(*records), CommitId::new(Digest::from_bytes(*commit))))
}
/// The common prefix of the keys of all doubts.
pub(crate) fn doubts() -> Vec<u8> {
    key(Prefix::Doubt, &[])
}
pub(crate) fn doubt(record: u64) -> Vec<u8> {
    key(Prefix::Doubt, &[&record.to_be_bytes()])
}

/// The last eight bytes of a key as a number.
pub(crate) fn trailing_order(key: &[u8]) -> u64 {
    let (_, number) = key.split_last_chunk::<8>().expect("the key ends in a number");
    u64::from_be_bytes(*number)
}

/// A key after every key that begins with `prefix`, as the start of a backward scan.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    key.extend_from_slice(&[0xff; 64]);
    key
}
