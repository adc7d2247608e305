//! Example lines for every command. All use one small example store of camera images, in which a test executes them.

/// The words of each command, and its examples.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("init", &["pv init ../cameras"]),
    ("config list", &["pv config list"]),
    ("config get", &["pv config get executor"]),
    ("config set", &["pv config set jobs 4"]),
    ("config unset", &["pv config unset jobs"]),
    ("repo create", &["pv repo create frames"]),
    ("repo list", &["pv repo list"]),
    ("repo show", &["pv repo show images"]),
    ("repo delete", &["pv repo delete old-frames --yes"]),
    ("branch create", &["pv branch create images@yesterday images@main~1"]),
    ("branch list", &["pv branch list model"]),
    ("branch log", &["pv branch log images@main"]),
    ("branch move", &["pv branch move model@main model@candidate"]),
    ("branch delete", &["pv branch delete model@candidate --yes"]),
    ("tag create", &["pv tag create model@v2 model -m 'approved by Dora'"]),
    ("tag list", &["pv tag list model"]),
    ("tag delete", &["pv tag delete model@v1 --yes"]),
    ("pipeline apply", &["pv pipeline apply -f pipelines/"]),
    ("pipeline check", &["pv pipeline check -f pipelines/detect.yml"]),
    ("pipeline new", &["pv pipeline new ls --input images:/ -- sh -c 'ls /pfs/images > /pfs/out/ls'"]),
    ("pipeline list", &["pv pipeline list"]),
    ("pipeline log", &["pv pipeline log detect"]),
    ("pipeline show", &["pv pipeline show detect"]),
    ("pipeline rollback", &["pv pipeline rollback detect v1"]),
    ("pipeline delete", &["pv pipeline delete report --yes"]),
    ("pipeline stop", &["pv pipeline stop report"]),
    ("pipeline start", &["pv pipeline start archive"]),
    ("pipeline rerun", &["pv pipeline rerun detect --input /cam7"]),
    ("pipeline tick", &["pv pipeline tick nightly"]),
    ("secret create", &["pv secret create mail token=token.txt"]),
    ("secret list", &["pv secret list"]),
    ("secret delete", &["pv secret delete ftp --yes"]),
    ("key show", &["pv key show > key.pem"]),
    ("key rotate", &["pv key rotate --yes"]),
    ("key trust", &["pv key trust FINGERPRINT"]),
    ("commit delete", &["pv commit delete old-frames --yes"]),
    ("commit prune", &["pv commit prune images --keep 1 --dry-run"]),
    ("image list", &["pv image list"]),
    ("image save", &["pv image save detect"]),
    ("image load", &["pv image load detect"]),
    ("put", &["pv put images photos/ -m 'camera batch'", "pv put model m.bin --as /weights/m.bin --wait"]),
    ("rm", &["pv rm images:/old.jpg", "pv rm -r images:/cam7 -m 'taken down'"]),
    ("mv", &["pv mv images:/old.jpg images:/cam7/first.jpg"]),
    ("cp", &["pv cp model@v1:/m.bin model:/before/m.bin"]),
    ("revert", &["pv revert images -m 'the wrong batch'"]),
    ("txn", &["pv txn steps.jsonl -m 'images and the rules that fit them'"]),
    ("get", &["pv get detect results/", "pv get images:/cam7 . --changed --force"]),
    ("cat", &["pv cat detect:/cam7/a.jpg.json"]),
    ("ls", &["pv ls -r images"]),
    ("log", &["pv log", "pv log images:/cam7/a.jpg"]),
    ("show", &["pv show images@main~1"]),
    ("status", &["pv status --exit-code"]),
    ("job list", &["pv job list detect -n 5"]),
    ("job show", &["pv job show detect"]),
    ("job retry", &["pv job retry broken --skip-failed -m 'torn file'"]),
    ("job stop", &["pv job stop waiting -m 'not now'"]),
    ("datum list", &["pv datum list broken --state failed"]),
    ("datum show", &["pv datum show detect --input /old.jpg"]),
    ("trace", &["pv trace report:/all.txt", "pv trace images:/cam7/a.jpg --forward --all-runs"]),
    ("explain", &["pv explain detect"]),
    ("find", &["pv find photos/c.jpg", "pv find '/cam7/*'"]),
    ("metrics", &["pv metrics detect", "pv metrics detect --all-runs", "pv metrics detect --md"]),
    ("verify", &["pv verify report:/all.txt", "pv verify --bundle case.zip --key key.pem"]),
    ("bundle", &["pv bundle report:/all.txt -o report.zip"]),
    ("checkpoint", &["pv checkpoint -o store.checkpoint"]),
    ("diff", &["pv diff images", "pv diff detect@main~1 detect --why"]),
    ("fsck", &["pv fsck"]),
    ("mirror", &["pv mirror --to ../mirror"]),
    ("gc", &["pv gc --dry-run"]),
    ("schema", &["pv schema > pv-schema.json"]),
    ("plan", &["pv plan", "pv plan -f pipelines/"]),
    ("run", &["pv run report", "pv run --timeout 10m detect"]),
    ("try", &["pv try detect --with model@candidate", "pv try detect -n 1"]),
    ("serve", &["pv serve"]),
    ("wait", &["pv wait detect --timeout 1m"]),
    ("logs", &["pv logs detect", "pv logs broken --failed"]),
    ("completions", &["pv completions bash > pv.bash"]),
    ("version", &["pv version"]),
];

/// Adds the examples to the help of the command with these words, and of all its subcommands.
pub(super) fn add_to(command: clap::Command, words: &str) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| {
        let words = format!("{words} {name}").trim().to_owned();
        command.mut_subcommand(name, |below| add_to(below, &words))
    });
    let Some((_, lines)) = EXAMPLES.iter().find(|(of, _)| *of == words) else { return command };
    let head = if lines.len() == 1 { "Example:" } else { "Examples:" };
    let examples = format!("{head}\n  {}", lines.join("\n  "));
    let with = |own: Option<&clap::builder::StyledStr>| match own {
        Some(own) => format!("{examples}\n\n{own}"),
        None => examples.clone(),
    };
    let (short, long) = (with(command.get_after_help()), command.get_after_long_help().map(|own| with(Some(own))));
    let command = command.after_help(short);
    match long {
        Some(long) => command.after_long_help(long),
        None => command,
    }
}
