//! An OpenAPI document (3.0, 3.1) as a contract: its operations, what their requests and answers must be, examples.

mod bundle;
mod contract;
mod document;
mod example;
mod media;
mod param;
mod parts;
mod paths;
mod shim;
mod spot;

use std::sync::Arc;
use std::sync::OnceLock;

use serde_json::Value;

use crate::primitive::validate::Fault;
use crate::primitive::validate::fill::has_defaults;

pub use bundle::bundle;
pub(crate) use document::METHODS;
pub use example::Mock;
pub use param::Facts;
pub use param::Given;
pub use param::Place;

use contract::Contract;
use contract::Side;
use media::Content;
use param::Param;
use paths::Paths;

/// A document, read and compiled.
#[derive(Debug)]
pub struct Api {
    document: Value,
    operations: Vec<Operation>,
    paths: Paths,
    requests: Contract,
    /// Whether any schema has defaults.
    fills: bool,
    answers: OnceLock<Result<Contract, OpenapiError>>,
}

/// An operation's place among the others, and the path parameters of a request, decoded.
pub type Found = (usize, Vec<(String, String)>);

/// A document that cannot be served by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenapiError(pub String);

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its `operationId`, else method and path.
    pub id: String,
    /// Whether the document names it.
    pub named: bool,
    /// Upper case.
    pub method: String,
    /// Its path, with parameters whose names a route may have.
    pub path: String,
    /// Its summary.
    pub doc: Option<String>,
    /// One of these lists of schemes, with the scopes of each; no list: open to all.
    pub security: Vec<Vec<(String, Vec<String>)>>,
    params: Vec<Param>,
    body: Option<Body>,
    answers: Vec<(String, Answer)>,
    pointer: String,
}

#[derive(Clone, Debug)]
struct Body {
    required: bool,
    content: Content,
}

#[derive(Clone, Debug)]
struct Answer {
    content: Content,
    pointer: String,
}

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its media type is none of these.
    Type(String),
    /// It cannot be read.
    Syntax(String),
    /// It is no form, and why.
    Form(String),
    /// It breaks its schema.
    Faults(Vec<Fault>),
}

impl Api {
    /// Reads and compiles a document whose references stay inside it, as [`bundle()`] makes it.
    pub fn new(document: Value) -> Result<Self, OpenapiError> {
        let operations = document::operations(&document)?;
        let keys = operations.iter().flat_map(Operation::requested);
        let requests = Contract::new(&document, Side::Request, keys)?;
        let bases = document::bases(&document);
        let paths = Paths::new(operations.iter().map(|operation| (&*operation.method, &*operation.path)), bases);
        let fills = has_defaults(&document);
        Ok(Self { document, operations, paths, requests, fills, answers: OnceLock::new() })
    }

    /// Its operations, in the order of the document.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Names of the security schemes it declares.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        let schemes = self.document.pointer("/components/securitySchemes").and_then(Value::as_object);
        schemes.into_iter().flat_map(|schemes| schemes.keys().map(String::as_str))
    }

    /// The operation of a request, with its path parameters; an error: the methods that the path has.
    pub fn find(&self, method: &str, path: &str) -> Result<Found, Vec<String>> {
        self.paths.find(method, path)
    }

    /// Reads and checks the parameters of a request.
    pub fn params(&self, operation: usize, facts: &Facts<'_>) -> Result<Vec<Given>, Vec<Fault>> {
        param::check(&self.operations[operation].params, facts, &self.requests)
    }

    /// Whether a request must have a body.
    pub fn needs_body(&self, operation: usize) -> bool {
        self.operations[operation].body.as_ref().is_some_and(|body| body.required)
    }

    /// Whether a body of this media type may come, and whether its content is looked at.
    pub fn takes(&self, operation: usize, media: &str) -> Result<bool, Refusal> {
        match &self.operations[operation].body {
            None => Ok(false),
            Some(body) => match body.content.of(media) {
                Some(entry) => Ok(entry.reads(media)),
                None => Err(Refusal::Type(body.content.accepted())),
            },
        }
    }

    /// Checks the body of a request, whose `Content-Type` is `field`: the text with defaults, where JSON lacks some.
    pub fn body(&self, operation: usize, field: &str, body: &[u8]) -> Result<Option<String>, Refusal> {
        let Some(content) = self.operations[operation].body.as_ref().map(|body| &body.content) else {
            return Ok(None);
        };
        let entry = content.of(&media::media_of(field)).ok_or_else(|| Refusal::Type(content.accepted()))?;
        let value = entry.check(field, body, &self.requests)?.filter(|_| self.fills);
        Ok(value.and_then(|mut value| entry.fill(&self.document, &mut value).then(|| value.to_string())))
    }

    /// Makes sure that answers can be checked: their schemas are compiled when first needed.
    pub fn prepare_answers(&self) -> Result<(), OpenapiError> {
        self.contract().as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn contract(&self) -> &Result<Contract, OpenapiError> {
        self.answers.get_or_init(|| {
            let answers = self.operations.iter().flat_map(|operation| &operation.answers);
            Contract::new(&self.document, Side::Answer, answers.flat_map(|(_, answer)| answer.content.keys()))
        })
    }

    /// Whether the content of such an answer is looked at; an error: it is not one of the document's.
    pub fn answers(&self, operation: usize, status: u16, media: &str, empty: bool) -> Result<bool, Refusal> {
        let Some(answer) = self.operations[operation].answer(status) else {
            return Err(Refusal::Syntax(format!("the status {status} is not in the document")));
        };
        if empty || answer.content.is_empty() {
            return Ok(false);
        }
        match answer.content.of(media) {
            Some(entry) => Ok(entry.reads(media)),
            None => Err(Refusal::Type(answer.content.accepted())),
        }
    }

    /// Checks the body of an answer, whose `Content-Type` is `field`.
    pub fn answer(&self, operation: usize, status: u16, field: &str, body: &[u8]) -> Result<(), Refusal> {
        let Some(answer) = self.operations[operation].answer(status) else { return Ok(()) };
        let entry = answer.content.of(&media::media_of(field));
        let (Some(entry), Ok(contract)) = (entry, self.contract()) else { return Ok(()) };
        entry.check(field, body, contract).map(drop)
    }

    /// An answer made of the document's examples: of its first success, else of its default.
    pub fn mock(&self, operation: usize) -> Mock {
        let operation = &self.operations[operation];
        let success = operation.answers.iter().filter(|(status, _)| status.starts_with('2'));
        let chosen = success.min_by_key(|(status, _)| status.clone()).or_else(|| operation.answers.first());
        example::mock(&self.document, chosen.map(|(status, answer)| (&**status, &*answer.pointer)))
    }
}

impl Operation {
    /// Schemas of its requests.
    fn requested(&self) -> impl Iterator<Item = &Arc<str>> {
        let params = self.params.iter().filter_map(Param::key);
        params.chain(self.body.iter().flat_map(|body| body.content.keys()))
    }

    /// By status, by class, by `default`.
    fn answer(&self, status: u16) -> Option<&Answer> {
        let (exact, class) = (status.to_string(), format!("{}xx", status / 100));
        let named = |wanted: &str| {
            self.answers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, answer)| answer)
        };
        named(&exact).or_else(|| named(&class)).or_else(|| named("default"))
    }

    /// Where it stands in the document.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }
}

#[cfg(test)]
mod tests;
