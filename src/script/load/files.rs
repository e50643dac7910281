//! The files of a script: read once on the control thread, then the same text for every worker.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use mlua::chunk::Compiler;

/// What was read, as plain data that crosses threads.
#[derive(Clone, Default)]
pub(crate) struct Frozen {
    /// Contents by name relative to the config folder (absolute where a certificate lies elsewhere).
    pub(crate) texts: BTreeMap<String, Arc<[u8]>>,
    /// Compiled files by name.
    code: BTreeMap<String, Arc<[u8]>>,
    /// What a glob came to.
    globs: BTreeMap<String, Vec<String>>,
    /// Secrets; `None` for one that is not there.
    secrets: BTreeMap<String, Option<Arc<[u8]>>>,
}

impl Frozen {
    /// A secret that was read.
    pub(crate) fn secret(&self, name: &str) -> Option<Vec<u8>> {
        self.secrets.get(name)?.as_ref().map(|value| value.to_vec())
    }

    /// Every secret that was read, by name.
    pub(crate) fn secrets(&self) -> Vec<(String, Arc<[u8]>)> {
        let known = self.secrets.iter();
        known.filter_map(|(name, value)| Some((name.clone(), Arc::clone(value.as_ref()?)))).collect()
    }
}

/// Files as a loading script reaches them.
pub(crate) struct Files {
    root: PathBuf,
    /// Read from disk; on workers everything is known already.
    disk: bool,
    known: RefCell<Frozen>,
    /// Looked for and not there: an edit may bring them.
    missing: RefCell<BTreeSet<PathBuf>>,
    /// Secrets that are not there have a stand-in.
    pretend: bool,
    /// Lines are counted as they run.
    coverage: bool,
}

impl Files {
    /// For the control thread: reads from `root`.
    pub(crate) fn on_disk(root: &Path) -> Self {
        Self::of(root, true, Frozen::default())
    }

    /// For a worker: what the control thread read.
    pub(crate) fn known(root: &Path, frozen: Frozen) -> Self {
        Self::of(root, false, frozen)
    }

    fn of(root: &Path, disk: bool, frozen: Frozen) -> Self {
        Self {
            root: root.to_owned(),
            disk,
            known: RefCell::new(frozen),
            missing: RefCell::default(),
            pretend: false,
            coverage: false,
        }
    }

    /// Secrets that are not there have a stand-in; lines are counted as they run.
    pub(crate) fn for_tests(self, pretend: bool, coverage: bool) -> Self {
        Self { pretend, coverage, ..self }
    }

    /// The config folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Everything read.
    pub(crate) fn freeze(&self) -> Frozen {
        self.known.borrow().clone()
    }

    /// Every file read or looked for, and every folder that a glob looked into.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let known = self.known.borrow();
        let globs = known.globs.keys().filter_map(|pattern| Some(self.root.join(Path::new(pattern).parent()?)));
        let texts = known.texts.keys().map(|name| self.root.join(name));
        texts.chain(globs).chain(self.missing.borrow().iter().cloned()).collect()
    }

    /// The contents of `name`, relative to the config folder and inside it.
    pub(crate) fn read(&self, name: &str) -> Result<Arc<[u8]>, String> {
        let name = inside(name)?;
        self.read_path(&name, true)
    }

    /// The contents of a certificate or key, which may lie anywhere.
    pub(crate) fn read_anywhere(&self, name: &str) -> Result<Arc<[u8]>, String> {
        if Path::new(name).is_absolute() { self.read_path(name, false) } else { self.read(name) }
    }

    /// Whether `name` is a file; it is watched either way.
    pub(crate) fn exists(&self, name: &str) -> bool {
        self.read(name).is_ok()
    }

    fn read_path(&self, name: &str, confined: bool) -> Result<Arc<[u8]>, String> {
        if let Some(text) = self.known.borrow().texts.get(name) {
            return Ok(Arc::clone(text));
        }
        if !self.disk {
            return Err(format!("{name} was not there when the file was loaded"));
        }
        let path = self.root.join(name);
        let bytes = std::fs::read(&path).map_err(|error| {
            self.missing.borrow_mut().insert(path.clone());
            reason(name, &error)
        })?;
        if confined {
            self.confine(name, &path)?;
        }
        if bytes.len() > LARGEST {
            return Err(format!("{name} is larger than 64 MB"));
        }
        let bytes: Arc<[u8]> = bytes.into();
        self.known.borrow_mut().texts.insert(name.to_owned(), Arc::clone(&bytes));
        Ok(bytes)
    }

    /// A symlink must not lead out of the folder.
    fn confine(&self, name: &str, path: &Path) -> Result<(), String> {
        let real = path.canonicalize().map_err(|error| reason(name, &error))?;
        let root = self.root.canonicalize().map_err(|error| reason(name, &error))?;
        if real.starts_with(root) { Ok(()) } else { Err(format!("{name} leads out of the config folder")) }
    }

    /// The text of a Lua file, without a byte order mark.
    pub(crate) fn text(&self, name: &str) -> Result<Arc<str>, String> {
        let bytes = self.read(name)?;
        // Whoever writes in place makes it empty first: seen then, every route would be gone for a moment.
        if bytes.is_empty() {
            return Err(format!("{name} is empty; a file that shall say nothing says so in a comment"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| format!("{name} is not UTF-8 text"))?;
        // Luau takes NUL for the end: what follows would be ignored silently.
        if let Some(at) = text.find('\0') {
            let line = text[..at].matches('\n').count() + 1;
            return Err(format!("{name}:{line}: a NUL byte, which no script has"));
        }
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text).into())
    }

    /// A Lua file, compiled: once, for all workers. The error is Luau's.
    pub(crate) fn compile(&self, name: &str) -> Result<Arc<[u8]>, Fault> {
        if let Some(code) = self.known.borrow().code.get(name) {
            return Ok(Arc::clone(code));
        }
        let text = self.text(name).map_err(Fault::Unreadable)?;
        let compiler = compiler().set_coverage_level(u8::from(self.coverage));
        let code = compiler.compile(&*text).map_err(|error| Fault::Syntax(error.to_string()))?;
        let code: Arc<[u8]> = code.into();
        self.known.borrow_mut().code.insert(name.to_owned(), Arc::clone(&code));
        Ok(code)
    }

    /// The files that `pattern` names (`*` and `?` in its last part), sorted.
    pub(crate) fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        if let Some(names) = self.known.borrow().globs.get(pattern) {
            return Ok(names.clone());
        }
        let clean = inside(pattern)?;
        if !clean.contains(['*', '?', '[', '{']) {
            self.read(&clean)?;
            return Ok(vec![clean]);
        }
        let (folder, last) = clean.rsplit_once('/').unwrap_or(("", &clean));
        if folder.contains(['*', '?', '[', '{']) {
            return Err(format!("`{pattern}`: only the last part may have `*`"));
        }
        let glob = globset::Glob::new(last).map_err(|error| format!("`{pattern}`: {}", error.kind()))?;
        let names = self.list(folder, &glob.compile_matcher())?;
        self.known.borrow_mut().globs.insert(pattern.to_owned(), names.clone());
        Ok(names)
    }

    fn list(&self, folder: &str, glob: &globset::GlobMatcher) -> Result<Vec<String>, String> {
        let path = self.root.join(folder);
        let shown = if folder.is_empty() { "the config folder" } else { folder };
        let entries = std::fs::read_dir(&path).map_err(|error| {
            self.missing.borrow_mut().insert(path.clone());
            reason(shown, &error)
        })?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.') && glob.is_match(name))
            .filter(|name| path.join(name).is_file())
            .map(|name| if folder.is_empty() { name } else { format!("{folder}/{name}") })
            .collect();
        names.sort();
        Ok(names)
    }

    /// A secret: from the environment, then from the folder of secrets.
    pub(crate) fn secret(
        &self,
        name: &str,
        env: &BTreeMap<String, String>,
        folder: Option<&Path>,
    ) -> Option<Arc<[u8]>> {
        if let Some(secret) = self.known.borrow().secrets.get(name) {
            return secret.clone();
        }
        let found: Option<Arc<[u8]>> = match env.get(name) {
            Some(value) => Some(value.as_bytes().into()),
            None => folder.filter(|_| self.disk).and_then(|folder| self.secret_file(folder, name)),
        };
        let stand_in = || format!("{name} is not set; this stands for it in tests").into_bytes().into();
        let found = found.or_else(|| self.pretend.then(stand_in));
        self.known.borrow_mut().secrets.insert(name.to_owned(), found.clone());
        found
    }

    fn secret_file(&self, folder: &Path, name: &str) -> Option<Arc<[u8]>> {
        if name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return None;
        }
        let path = folder.join(name);
        let bytes = std::fs::read(&path);
        self.missing.borrow_mut().insert(path);
        let bytes = bytes.ok()?;
        let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        Some(bytes[..end].into())
    }
}

/// Why a Lua file cannot run.
pub(crate) enum Fault {
    /// No such file, no permission, not text.
    Unreadable(String),
    /// Luau's message.
    Syntax(String),
}

/// Line numbers stay, optimisations that would move them do not matter.
pub(in crate::script) fn compiler() -> Compiler {
    Compiler::new().set_optimization_level(1).set_debug_level(1)
}

/// A larger file is no script, schema or list.
const LARGEST: usize = 64 << 20;

/// `name` without `.` and `..`, refused where it would leave the folder.
fn inside(name: &str) -> Result<String, String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(name).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str().ok_or("a file's name must be UTF-8")?),
            Component::ParentDir if parts.pop().is_some() => {}
            _ => return Err(format!("{name} is outside the config folder")),
        }
    }
    if parts.is_empty() { Err(format!("`{name}` names no file")) } else { Ok(parts.join("/")) }
}

fn reason(name: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no `{name}`"),
        std::io::ErrorKind::PermissionDenied => format!("{name} may not be read"),
        std::io::ErrorKind::IsADirectory => format!("{name} is a folder"),
        _ => format!("{name} cannot be read: {error}"),
    }
}
