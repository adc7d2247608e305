//! `pv secret create`

use std::fs::File;
use std::io::Read;

use engine::secrets::{self, MAX_BYTES, Values};
use serde_json::json;
use specs::{ErrorKind, SecretKey, SecretName};

use crate::context::Context;
use crate::error::{CliError, Result};

/// Keep values that stages see and nobody else: `transform.secrets` names them
///
/// They stay in the store's folder, readable by its owner alone; no commit, result, log or mirror has them. In a variable a value is
/// without the line end that it may have.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The secret
    name: SecretName,
    /// A key and the file that holds its value; `-` is stdin
    #[arg(value_name = "KEY=FILE", required = true)]
    values: Vec<String>,
    /// Put these values in place of all that the secret has now
    #[arg(long)]
    force: bool,
}

/// Where a value comes from.
#[derive(Debug)]
struct Value {
    key: SecretKey,
    file: String,
}

impl Value {
    /// Whatever is wrong, the text is not repeated: it may be the value itself.
    fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| CliError::usage(format!("{what}; nothing was kept"), "KEY=FILE, or KEY=- for stdin");
        let parts = text.split_once('=').filter(|(_, file)| !file.is_empty());
        let (key, file) = parts.ok_or_else(|| wrong("a value is not given as KEY=FILE"))?;
        let key =
            key.parse().map_err(|error: specs::NameError| wrong(&format!("a key is not legal: {}", error.why)))?;
        Ok(Self { key, file: file.to_owned() })
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let name = &args.name;
    let is_known = secrets::list(store)?.iter().any(|(known, _)| known == name);
    if is_known && !args.force {
        let what = format!("secret `{name}` exists; nothing was changed");
        return Err(CliError::new(ErrorKind::Conflict, what).hint("--force puts these values in its place"));
    }
    let wanted = args.values.iter().map(|text| Value::parse(text)).collect::<Result<Vec<_>>>()?;
    let values = read_all(cx, &wanted)?;
    for (key, value) in &values {
        if value.split(|byte| *byte == b'\n').all(|line| line.trim_ascii().len() <= secrets::UNMASKED_BYTES) {
            let least = secrets::UNMASKED_BYTES + 1;
            cx.notes().line(format!("`{key}` has no line of {least} bytes: logs will show it where a stage prints it"));
        }
    }
    secrets::keep(store, name, &values)?;
    let done = if is_known { "changed" } else { "kept" };
    let keys: Vec<&SecretKey> = values.keys().collect();
    cx.done(&format!("secret `{name}` is {done}"), &json!({ "name": name, "keys": keys }))
}

fn read_all(cx: &Context, wanted: &[Value]) -> Result<Values> {
    if wanted.iter().filter(|value| value.file == "-").count() > 1 {
        return Err(CliError::usage("stdin is one value", "give the others as files"));
    }
    let mut values = Values::new();
    for Value { key, file } in wanted {
        if values.insert(key.clone(), read(cx, file)?).is_some() {
            return Err(CliError::usage(format!("key `{key}` is given twice"), "one file for each key"));
        }
    }
    Ok(values)
}

fn read(cx: &Context, file: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    let read = if file == "-" {
        cx.outside().stdin().take(most).read_to_end(&mut bytes)
    } else {
        File::open(cx.outside().cwd.join(file)).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| CliError::io(format!("cannot read `{file}`"), &error))?;
    Ok(bytes)
}
