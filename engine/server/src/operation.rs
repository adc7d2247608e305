//! Operations: what the API can do. Each states its method, path, name, and the role that it needs; its parameters and answers follow from the
//! types of its handler. The router, the check of roles and the OpenAPI document are all made from these.

use std::future::Future;

use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodFilter, MethodRouter, on};
use repos::access::{Right, Role};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::app::App;
use crate::keyed::AfterCrash;
use crate::problem::Problem;

/// One operation of the API.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path below `/api/v1`, with `{parameters}`.
    pub path: &'static str,
    /// Its name in the OpenAPI document, unique.
    pub id: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The role that it needs; `None`: it needs no token.
    pub needs: Option<Role>,
    /// The right on the whole store that it needs, if it is not about repositories.
    pub right: Option<Right>,
    pub(crate) after_crash: AfterCrash,
    /// Whether it shows content: files, or what jobs print.
    pub(crate) reads: bool,
    pub(crate) describe: fn(&mut Description<'_>),
    pub(crate) route: MethodRouter<App>,
}

impl Operation {
    /// An operation that any token may use. Its path is below `/api/v1`.
    fn new<H, T>(method: Method, path: &'static str, (id, summary): (&'static str, &'static str), handler: H) -> Self
    where
        H: Handler<T, App> + Describe<T>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("methods of the API have a filter");
        let route = on(filter, handler);
        let (needs, describe) = (Some(Role::Reader), H::describe);
        Self {
            method,
            path,
            id,
            summary,
            needs,
            right: None,
            after_crash: AfterCrash::IfUnchanged,
            reads: false,
            describe,
            route,
        }
    }

    /// Whether it is a change that takes an `Idempotency-Key`.
    pub(crate) fn takes_key(&self) -> bool {
        self.needs.is_some() && !self.method.is_safe()
    }

    /// The same operation, for tokens of at least this role.
    pub(crate) fn needs(self, role: Role) -> Self {
        Self { needs: Some(role), ..self }
    }

    /// The same operation, for tokens with this right on the whole store.
    pub(crate) fn needs_right(self, right: Right) -> Self {
        Self { needs: Some(right.role()), right: Some(right), ..self }
    }

    /// The same operation, which may be made again like this after a crash.
    pub(crate) fn after_crash(self, after_crash: AfterCrash) -> Self {
        Self { after_crash, ..self }
    }

    /// The same operation, which shows content: who uses it is kept.
    pub(crate) fn reads(self) -> Self {
        Self { reads: true, ..self }
    }

    /// The same operation, for anyone.
    pub(crate) fn for_anyone(self) -> Self {
        Self { needs: None, ..self }
    }
}

macro_rules! methods {
    ($($name:ident $method:ident),+) => {
        $(
            /// An operation with this method: its path below `/api/v1`, its id and summary, its handler.
            pub(crate) fn $name<H, T>(path: &'static str, named: (&'static str, &'static str), handler: H) -> Operation
            where
                H: Handler<T, App> + Describe<T>,
                T: 'static,
            {
                Operation::new(Method::$method, path, named, handler)
            }
        )+
    };
}

methods!(get GET, put PUT, post POST, delete DELETE);

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

/// Status, what it means, media types and schemas of the content.
pub(crate) type Answers = Vec<(StatusCode, &'static str, Vec<(&'static str, Schema)>)>;

/// The description of an operation, to which its handler's types add their parts.
#[derive(Debug)]
pub(crate) struct Description<'g> {
    /// Schemas of what is answered.
    pub(crate) schemas: &'g mut SchemaGenerator,
    /// Schemas of what is asked: there, fields with a default may be absent.
    pub(crate) asked: &'g mut SchemaGenerator,
    /// Place, object schema with one property for each parameter.
    pub(crate) parameters: Vec<(Place, Schema)>,
    /// Media types and schemas: one of them is sent.
    pub(crate) body: Vec<(&'static str, Schema)>,
    /// Whether a request without a body means one with an empty body.
    pub(crate) may_be_empty: bool,
    /// Its answers.
    pub(crate) answers: Answers,
}

impl Description<'_> {
    /// Adds parameters: the fields of `T`.
    pub(crate) fn parameters<T: JsonSchema>(&mut self, place: Place) {
        self.parameters.push((place, T::json_schema(self.asked)));
    }

    /// Adds a body of JSON.
    pub(crate) fn takes<T: JsonSchema>(&mut self) {
        let schema = self.asked.subschema_for::<T>();
        self.body.push(("application/json", schema));
    }

    /// Adds a body of bytes.
    pub(crate) fn takes_bytes(&mut self, media_type: &'static str) {
        self.body.push((media_type, bytes()));
    }

    /// Adds an answer of JSON.
    pub(crate) fn gives<T: JsonSchema>(&mut self, status: StatusCode, meaning: &'static str) {
        let schema = self.schemas.subschema_for::<T>();
        self.answers.push((status, meaning, vec![("application/json", schema)]));
    }

    /// Adds an answer of bytes, of these media types.
    pub(crate) fn gives_bytes(&mut self, status: StatusCode, meaning: &'static str, media_types: &[&'static str]) {
        self.answers.push((status, meaning, media_types.iter().map(|of| (*of, bytes())).collect()));
    }

    /// Adds an answer without content.
    pub(crate) fn gives_nothing(&mut self, status: StatusCode, meaning: &'static str) {
        self.answers.push((status, meaning, Vec::new()));
    }
}

/// Any bytes.
fn bytes() -> Schema {
    schemars::json_schema!({ "type": "string", "format": "binary" })
}

/// A part of a request or an answer that the description of an operation mentions.
pub(crate) trait Part {
    /// Adds itself.
    fn describe(of: &mut Description<'_>);
}

/// A handler whose types describe its operation. `T` is that of axum's [`Handler`], so that each handler has one description.
pub(crate) trait Describe<T> {
    /// Adds all its parts.
    fn describe(of: &mut Description<'_>);
}

macro_rules! handlers {
    ($($part:ident),*) => {
        impl<F, W, M, R, $($part),*> Describe<(M, $($part,)*)> for F
        where
            F: FnOnce($($part),*) -> W,
            W: Future<Output = Result<R, Problem>>,
            R: Part,
            $($part: Part,)*
        {
            fn describe(of: &mut Description<'_>) {
                $($part::describe(of);)*
                R::describe(of);
            }
        }
    };
}

handlers!(A);
handlers!(A, B);
handlers!(A, B, C);
handlers!(A, B, C, D);
handlers!(A, B, C, D, E);
