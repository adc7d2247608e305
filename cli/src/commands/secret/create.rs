//! `pv secret create`

use std::io::Read;
use std::path::Path;

use engine::secrets::{self, MAX_BYTES, Values};
use serde_json::json;
use specs::{SecretKey, SecretName};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::invocation::Files;

/// Store a secret for the stages that name it in `transform.secrets`
///
/// Values are kept in the store's folder, readable by its owner only. They never enter commits, results, logs or mirrors. In an environment
/// variable, one trailing line break of the value is removed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Secret
    name: SecretName,
    /// Key and the file with its value; `-` is standard input
    #[arg(value_name = "KEY=FILE", required = true)]
    values: Vec<String>,
    /// Replace an existing secret and all its values
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
    /// Errors never repeat the text, which may be the value itself.
    fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| CliError::usage(format!("{what}; nothing was stored"), "KEY=FILE, or KEY=- for stdin");
        let parts = text.split_once('=').filter(|(_, file)| !file.is_empty());
        let (key, file) = parts.ok_or_else(|| wrong("a value must be given as KEY=FILE"))?;
        let key = key.parse().map_err(|error: specs::NameError| wrong(&format!("invalid key: {}", error.why)))?;
        Ok(Self { key, file: file.to_owned() })
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let name = &args.name;
    let is_known = secrets::ensure_can_keep(store, name, args.force)?;
    let wanted = args.values.iter().map(|text| Value::parse(text)).collect::<Result<Vec<_>>>()?;
    let values = read_all(cx, &wanted)?;
    for key in secrets::unmasked(&values) {
        let least = secrets::UNMASKED_BYTES + 1;
        cx.notes().line(format!("`{key}` has no line of at least {least} bytes: it will not be masked in logs"));
    }
    secrets::keep(store, name, &values)?;
    let done = if is_known { "changed" } else { "stored" };
    let keys: Vec<&SecretKey> = values.keys().collect();
    cx.done(&format!("secret `{name}` is {done}"), &json!({ "name": name, "keys": keys }))
}

fn read_all(cx: &Context, wanted: &[Value]) -> Result<Values> {
    if wanted.iter().filter(|value| value.file == "-").count() > 1 {
        return Err(CliError::usage("standard input can provide only one value", "read the other values from files"));
    }
    let mut values = Values::new();
    for Value { key, file } in wanted {
        if values.insert(key.clone(), read(cx, file)?).is_some() {
            return Err(CliError::usage(format!("key `{key}` is given twice"), "give one file for each key"));
        }
    }
    Ok(values)
}

fn read(cx: &Context, file: &str) -> Result<Vec<u8>> {
    let most = MAX_BYTES as u64;
    let read = if file == "-" {
        let mut bytes = Vec::new();
        cx.invocation().stdin().take(most + 1).read_to_end(&mut bytes).map(|_| bytes)
    } else {
        cx.files().read(Path::new(file), most)
    };
    read.map_err(|error| CliError::io(format!("cannot read `{file}`"), &error))
}

impl Args {
    /// Reads what the command reads from the caller's machine.
    pub(super) fn read_files(&self, files: &Files) {
        for value in self.values.iter().filter_map(|text| Value::parse(text).ok()).filter(|value| value.file != "-") {
            files.read(Path::new(&value.file), MAX_BYTES as u64).ok();
        }
    }
}
