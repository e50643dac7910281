//! OpenAPI documents in a script's hands: compiled once per process as long as somebody holds them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::Weak;

use mlua::MetaMethod;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;
use parking_lot::Mutex;

use crate::primitive::openapi;
use crate::primitive::openapi::Api;
use crate::script::bind::schema::document;
use crate::script::load::files::Files;

/// One operation of a document, or whichever a request asks for.
#[derive(Clone)]
pub(crate) struct Document {
    /// The file.
    pub(crate) name: Arc<str>,
    /// What it says.
    pub(crate) api: Arc<Api>,
    /// Which operation; `None`: found by method and path.
    pub(crate) operation: Option<usize>,
}

impl Document {
    /// The document that `value` is, if it is one.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        value.as_userdata()?.borrow::<Self>().ok().map(|document| document.clone())
    }
}

impl UserData for Document {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, document, ()| {
            let operation = document.operation.and_then(|index| document.api.operations().get(index));
            Ok(format!("{}#{}", document.name, operation.map_or("", |operation| &operation.id)))
        });
    }
}

/// Why there is no document.
pub(crate) enum Fault {
    /// Its file cannot be read.
    File(String),
    /// It, or a file it refers to, is not what it should be.
    Document(String),
}

/// The files of a document as they were, the document's own first, and what they came to.
type Known = Vec<(Vec<(String, Arc<[u8]>)>, Weak<Api>)>;

/// Workers load the same files: one of them compiles.
pub(crate) fn compile(name: &str, files: &Files) -> Result<Arc<Api>, Fault> {
    static KNOWN: Mutex<Known> = Mutex::new(Vec::new());
    let text = files.read(name).map_err(Fault::File)?;
    let mut known = KNOWN.lock();
    known.retain(|(_, api)| api.strong_count() > 0);
    let same = |name: &str, text: &Arc<[u8]>| {
        files.read(name).is_ok_and(|other| Arc::ptr_eq(&other, text) || *other == **text)
    };
    let found = known.iter().find(|(parts, _)| parts[0].0 == name && parts.iter().all(|(name, text)| same(name, text)));
    if let Some(api) = found.and_then(|(_, api)| api.upgrade()) {
        return Ok(api);
    }
    let parts = RefCell::new(vec![(name.to_owned(), Arc::clone(&text))]);
    let read = |name: &str| {
        let text = files.read(name)?;
        let value = document(name, &text).map_err(|fault| format!("{name}: {fault}"))?;
        parts.borrow_mut().push((name.to_owned(), text));
        Ok(value)
    };
    let compiled = || {
        let main = openapi::bundle(name, document(name, &text)?, &read).map_err(|fault| fault.to_string())?;
        Api::new(main).map_err(|fault| fault.to_string())
    };
    let api = Arc::new(compiled().map_err(|said| Fault::Document(format!("{name}: {said}")))?);
    known.push((parts.take(), Arc::downgrade(&api)));
    Ok(api)
}
