//! OpenAPI documents in a script's hands: compiled once per process as long as somebody holds them.

use std::sync::Arc;
use std::sync::Weak;

use mlua::MetaMethod;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;
use parking_lot::Mutex;

use crate::primitive::openapi::Api;
use crate::script::bind::schema::document;

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

type Known = Vec<(Arc<[u8]>, Weak<Api>)>;

/// Workers load the same files: one of them compiles.
pub(crate) fn compile(name: &str, text: &Arc<[u8]>) -> Result<Arc<Api>, String> {
    static KNOWN: Mutex<Known> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock();
    known.retain(|(_, api)| api.strong_count() > 0);
    let found = known.iter().find(|(other, _)| Arc::ptr_eq(other, text) || **other == **text);
    if let Some(api) = found.and_then(|(_, api)| api.upgrade()) {
        return Ok(api);
    }
    let api = Arc::new(Api::new(document(name, text)?).map_err(|fault| fault.to_string())?);
    known.push((Arc::clone(text), Arc::downgrade(&api)));
    Ok(api)
}
