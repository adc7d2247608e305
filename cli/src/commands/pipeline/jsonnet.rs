//! Templates in Jsonnet: rendered to the JSON of a spec, or of a list of specs.
//!
//! The process that runs the command renders them, without a time limit. Positions in a rendered template are those of the resulting JSON
//! (`X.jsonnet, rendered:2:4`); an error in the template itself has its position there.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rsjsonnet_lang::arena::Arena;
use rsjsonnet_lang::interner::InternedStr;
use rsjsonnet_lang::lexer::LexError;
use rsjsonnet_lang::parser::ParseError;
use rsjsonnet_lang::program::{
    AnalyzeError, Callbacks, EvalError, EvalErrorKind, EvalStackTraceItem, ImportError, LoadError, NativeError,
    Program, Thunk, Value,
};
use rsjsonnet_lang::span::{SourceId, SpanContext, SpanId};
use specs::spec::MAX_FILE_BYTES;
use specs::{Diagnostic, ErrorKind, Place, Severity};

use crate::error::{CliError, Result};

/// An argument of a template: `KEY=VALUE`, a string.
#[derive(Debug, Clone)]
pub(super) struct Argument {
    key: String,
    value: String,
}

impl FromStr for Argument {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write `KEY=VALUE`")?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// Renders the template `text` of the file `path`, called `shown` in messages. If the template is a function, it is called with
/// `arguments`.
pub(super) fn render(path: &Path, shown: &str, text: &str, arguments: &[Argument]) -> Result<String> {
    let arena = Arena::new();
    let mut program = Program::new(&arena);
    let mut files = Files { sources: HashMap::new(), loaded: HashMap::new(), failure: None };
    let done = evaluate(&mut program, &mut files, path, shown, text, arguments);
    done.map_err(|problem| {
        let problem = files.failure.take().unwrap_or(problem);
        let (file, place) = files.place(&program, problem.span).unwrap_or((shown.to_owned(), Place::START));
        let (message, hint, severity) = (problem.message, problem.hint, Severity::Error);
        CliError::in_file(ErrorKind::Usage, shown, vec![Diagnostic { file, place, severity, message, hint }])
    })
}

fn evaluate<'p>(
    program: &mut Program<'p>,
    files: &mut Files<'p>,
    path: &Path,
    shown: &str,
    text: &str,
    arguments: &[Argument],
) -> Result<String, Problem> {
    let template = files.load(program, path, shown, text.as_bytes().to_vec())?;
    let mut value = program.eval_value(&template, files)?;
    if value.is_function() {
        let mut named = Vec::with_capacity(arguments.len());
        for Argument { key, value } in arguments {
            let name = program.intern_str(key);
            named.push((name, program.value_to_thunk(&Value::string(value))));
        }
        value = program.eval_call(&template, &[], &named, files)?;
    } else if let Some(Argument { key, .. }) = arguments.first() {
        return Err(Problem::new(
            None,
            format!("`--arg {key}`: the template is not a function, so it takes no arguments"),
        ));
    }
    Ok(program.manifest_json(&value, true)?)
}

/// What is wrong with a template.
struct Problem {
    span: Option<SpanId>,
    message: String,
    hint: Option<String>,
}

impl Problem {
    fn new(span: Option<SpanId>, message: String) -> Self {
        Self { span, message, hint: None }
    }
}

/// The files of a template: the template and its imports.
struct Files<'p> {
    sources: HashMap<SourceId, TemplateFile>,
    loaded: HashMap<PathBuf, Thunk<'p>>,
    /// Why an import failed; the library's error does not say.
    failure: Option<Problem>,
}

struct TemplateFile {
    path: PathBuf,
    shown: String,
    text: Vec<u8>,
}

impl<'p> Files<'p> {
    fn load(
        &mut self,
        program: &mut Program<'p>,
        path: &Path,
        shown: &str,
        text: Vec<u8>,
    ) -> Result<Thunk<'p>, Problem> {
        let (context, source) = program.span_manager_mut().insert_source_context(text.len());
        let loaded = program.load_source(context, &text, true, shown);
        self.sources.insert(source, TemplateFile { path: path.to_owned(), shown: shown.to_owned(), text });
        Ok(loaded?)
    }

    /// The place of a span: the file as the user named it, line and column.
    fn place(&self, program: &Program<'p>, span: Option<SpanId>) -> Option<(String, Place)> {
        let (context, start, _) = program.span_manager().get_span(span?);
        let SpanContext::Source(source) = program.span_manager().get_context(context);
        let TemplateFile { shown, text, .. } = self.sources.get(source)?;
        let before = String::from_utf8_lossy(text.get(..start)?).into_owned();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Some((shown.clone(), Place { line: number(line), column: number(column) }))
    }

    /// The path and bytes of an imported file; its path is relative to the importing file.
    fn read(&mut self, program: &Program<'p>, from: SpanId, path: &str) -> Result<(PathBuf, Vec<u8>), ImportError> {
        let (context, ..) = program.span_manager().get_span(from);
        let SpanContext::Source(source) = program.span_manager().get_context(context);
        let folder = self.sources.get(source).and_then(|source| source.path.parent()).unwrap_or(Path::new(""));
        let full = folder.join(path);
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&full)
            .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| error.to_string());
        let read = match read {
            Ok(length) if length > MAX_FILE_BYTES => Err("it is larger than 4 MiB".to_owned()),
            read => read,
        };
        match read {
            Ok(_) => Ok((full, bytes)),
            Err(why) => Err(self.failed(Problem::new(Some(from), format!("cannot import `{path}`: {why}")))),
        }
    }

    /// Records why an import failed.
    fn failed(&mut self, problem: Problem) -> ImportError {
        self.failure.get_or_insert(problem);
        ImportError
    }
}

impl<'p> Callbacks<'p> for Files<'p> {
    fn import(&mut self, program: &mut Program<'p>, from: SpanId, path: &str) -> Result<Thunk<'p>, ImportError> {
        let (full, bytes) = self.read(program, from, path)?;
        if let Some(thunk) = self.loaded.get(&full) {
            return Ok(thunk.clone());
        }
        let loaded = self.load(program, &full, &full.display().to_string(), bytes);
        let thunk = loaded.map_err(|problem| self.failed(problem))?;
        self.loaded.insert(full, thunk.clone());
        Ok(thunk)
    }

    fn import_str(&mut self, program: &mut Program<'p>, from: SpanId, path: &str) -> Result<String, ImportError> {
        let (_, bytes) = self.read(program, from, path)?;
        String::from_utf8(bytes).map_err(|_| {
            self.failed(Problem::new(Some(from), format!("cannot import `{path}` as text: it is not UTF-8")))
        })
    }

    fn import_bin(&mut self, program: &mut Program<'p>, from: SpanId, path: &str) -> Result<Vec<u8>, ImportError> {
        self.read(program, from, path).map(|(_, bytes)| bytes)
    }

    /// Output of `std.trace` is for debugging the template with other programs; it is dropped.
    fn trace(&mut self, _: &mut Program<'p>, _: &str, _: &[EvalStackTraceItem]) {}

    fn native_call(
        &mut self,
        _: &mut Program<'p>,
        _: InternedStr<'p>,
        _: &[Value<'p>],
    ) -> Result<Value<'p>, NativeError> {
        Err(NativeError) // none is registered
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Lex(error) => Self::new(Some(span_of_lexer(&error)), in_words(&error)),
            LoadError::Parse(ParseError::Expected { span, instead, .. }) => {
                Self::new(Some(span), format!("invalid Jsonnet: unexpected token ({})", in_words(&instead)))
            }
            LoadError::Analyze(error) => {
                let (span, message) = match &error {
                    AnalyzeError::UnknownVariable { span, name } => (*span, format!("unknown variable `{name}`")),
                    AnalyzeError::RepeatedLocalName { repeated_span, name, .. }
                    | AnalyzeError::RepeatedFieldName { repeated_span, name, .. }
                    | AnalyzeError::RepeatedParamName { repeated_span, name, .. } => {
                        (*repeated_span, format!("`{name}` is given twice"))
                    }
                    AnalyzeError::SelfOutsideObject { self_span: span }
                    | AnalyzeError::SuperOutsideObject { super_span: span }
                    | AnalyzeError::DollarOutsideObject { dollar_span: span }
                    | AnalyzeError::PositionalArgAfterNamed { arg_span: span }
                    | AnalyzeError::TextBlockAsImportPath { span }
                    | AnalyzeError::ComputedImportPath { span } => (*span, in_words(&error)),
                };
                Self::new(Some(span), message)
            }
        }
    }
}

fn span_of_lexer(error: &LexError) -> SpanId {
    match error {
        LexError::InvalidChar { span, .. }
        | LexError::InvalidUtf8 { span, .. }
        | LexError::UnfinishedMultilineComment { span }
        | LexError::LeadingZeroInNumber { span }
        | LexError::MissingFracDigits { span }
        | LexError::MissingExpDigits { span }
        | LexError::MissingDigitAfterUnderscore { span }
        | LexError::ExpOverflow { span }
        | LexError::InvalidEscapeInString { span, .. }
        | LexError::IncompleteUnicodeEscape { span }
        | LexError::InvalidUtf16EscapeSequence { span, .. }
        | LexError::UnfinishedString { span }
        | LexError::MissingLineBreakAfterTextBlockStart { span }
        | LexError::MissingWhitespaceTextBlockStart { span }
        | LexError::InvalidTextBlockTermination { span } => *span,
    }
}

impl From<EvalError> for Problem {
    fn from(error: EvalError) -> Self {
        // The span of the innermost expression is the nearest place.
        let nearest = error.stack_trace.iter().rev().find_map(span_of_item);
        match error.kind {
            EvalErrorKind::CallParamNotBound { span, param_name } => Self {
                span: span.or(nearest),
                message: format!("the argument `{param_name}` has no value"),
                hint: Some(format!("--arg {param_name}=VALUE")),
            },
            EvalErrorKind::UnknownCallParam { span, param_name } => {
                Self::new(span.or(nearest), format!("the template has no argument `{param_name}`"))
            }
            EvalErrorKind::ExplicitError { span, message } => Self::new(Some(span), message),
            EvalErrorKind::AssertFailed { span, message } => {
                Self::new(Some(span), message.unwrap_or_else(|| "an assertion does not hold".to_owned()))
            }
            EvalErrorKind::UnknownObjectField { span, field_name } => {
                Self::new(Some(span), format!("the object has no field `{field_name}`"))
            }
            EvalErrorKind::UnknownExtVar { name } => Self {
                span: nearest,
                message: format!("unknown external variable `{name}`"),
                hint: Some(format!("make it an argument: `function({name}) …`, and --arg {name}=VALUE")),
            },
            EvalErrorKind::Other { span, message } => Self::new(span.or(nearest), message),
            EvalErrorKind::StackOverflow | EvalErrorKind::InfiniteRecursion => {
                Self::new(nearest, "the template does not terminate".to_owned())
            }
            EvalErrorKind::ManifestFunction => Self::new(nearest, "expected a value, found a function".to_owned()),
            other => Self::new(nearest, in_words(&other)),
        }
    }
}

fn span_of_item(item: &EvalStackTraceItem) -> Option<SpanId> {
    match item {
        EvalStackTraceItem::Expr { span }
        | EvalStackTraceItem::Variable { span, .. }
        | EvalStackTraceItem::Import { span } => Some(*span),
        EvalStackTraceItem::Call { span, .. }
        | EvalStackTraceItem::ArrayItem { span, .. }
        | EvalStackTraceItem::ObjectField { span, .. } => *span,
        _ => None,
    }
}

/// The name of an error's variant as words: `InvalidIndexedType` is `invalid indexed type`.
fn in_words(error: &dyn std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    let name = text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let mut words = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(pairs: &[&str]) -> Vec<Argument> {
        pairs.iter().map(|pair| pair.parse().unwrap()).collect()
    }

    fn rendered(text: &str, pairs: &[&str]) -> String {
        render(Path::new("/t/edges.jsonnet"), "edges.jsonnet", text, &arguments(pairs)).unwrap()
    }

    fn said(text: &str, pairs: &[&str]) -> String {
        match render(Path::new("/t/edges.jsonnet"), "edges.jsonnet", text, &arguments(pairs)) {
            Err(CliError::Failure(failure)) => failure.causes.join("\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_template_is_rendered_with_its_arguments() {
        let template = "// a template\nfunction(suffix, src='images') { pipeline: { name: 'edges-' + suffix }, input: { pfs: { repo: src, glob: '/*' } } }";
        let json: serde_json::Value = serde_json::from_str(&rendered(template, &["suffix=1"])).unwrap();
        assert_eq!(json["pipeline"]["name"], "edges-1");
        assert_eq!(json["input"]["pfs"]["repo"], "images");
        let list: serde_json::Value =
            serde_json::from_str(&rendered("[{a: x} for x in std.range(1, 3)]", &[])).unwrap();
        assert_eq!(list, serde_json::json!([{"a": 1}, {"a": 2}, {"a": 3}]));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, pairs, expected) in [
            ("{\n  a: 'x\n", &[][..], "edges.jsonnet:2:6: unfinished string"),
            ("{\n  a: ]\n}", &[], "edges.jsonnet:2:6: invalid Jsonnet: unexpected token (simple)"),
            ("{ a: b }", &[], "edges.jsonnet:1:6: unknown variable `b`"),
            ("{ a: error 'no' }", &[], "edges.jsonnet:1:6: no"),
            ("{ a: self.b }", &[], "edges.jsonnet:1:6: the object has no field `b`"),
            ("function(x) x", &[], "edges.jsonnet:1:1: the argument `x` has no value; --arg x=VALUE"),
            ("{}", &["x=1"], "edges.jsonnet:1:1: `--arg x`: the template is not a function, so it takes no arguments"),
            (
                "{ a: import 'none.libsonnet' }",
                &[],
                "edges.jsonnet:1:6: cannot import `none.libsonnet`: No such file or directory (os error 2)",
            ),
        ] {
            assert_eq!(said(text, pairs), expected);
        }
        let endless = said("local f(x) = f(x + 1) + 1; f(0)", &[]);
        assert!(endless.ends_with("the template does not terminate"), "{endless}");
    }

    #[test]
    fn imports_are_relative_to_the_file_that_imports() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        std::fs::write(folder.path().join("lib/a.libsonnet"), "import 'b.libsonnet'").unwrap();
        std::fs::write(folder.path().join("lib/b.libsonnet"), "{ b: importstr 'text' }").unwrap();
        std::fs::write(folder.path().join("lib/text"), "said").unwrap();
        let path = folder.path().join("t.jsonnet");
        let json = render(&path, "t.jsonnet", "(import 'lib/a.libsonnet') + { c: 1 }", &[]).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json, serde_json::json!({"b": "said", "c": 1}));
    }
}
