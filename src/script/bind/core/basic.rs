//! `core.basic_auth(users, file, realm, hide)`: names and passwords, verified where no worker waits for it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::LuaString;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;
use tokio::sync::Semaphore;

use super::api_key::owner;
use super::exchange;
use super::object::Object;
use crate::clock;
use crate::http::headers::Known;
use crate::primitive::digest;
use crate::primitive::password::Stored;
use crate::primitive::password::Users;
use crate::primitive::password::Verified;
use crate::primitive::password::credentials;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::script::bind::text::Text;
use crate::script::declare::Session;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::live::Kept;
use crate::script::wait;

/// What a refusal says, and what becomes of the field.
struct Terms {
    challenge: String,
    hide: bool,
}

impl Terms {
    fn take(&self, exchange: &Exchange) -> mlua::Result<(String, Vec<u8>)> {
        let request = exchange.request.borrow();
        let mut fields = request.headers.known(Known::Authorization);
        let read = match (fields.next(), fields.next()) {
            (Some(field), None) => credentials(field),
            _ => None,
        };
        read.map_or_else(|| self.refuse(Code::BasicMissing, "a name and a password are needed"), Ok)
    }

    fn refuse<T>(&self, code: Code, detail: &str) -> mlua::Result<T> {
        wait::fail(Failure::new(code, detail).header("www-authenticate", &*self.challenge))
    }

    fn invalid<T>(&self) -> mlua::Result<T> {
        self.refuse(Code::BasicInvalid, "nobody has this name and password")
    }

    fn accept(&self, lua: &Lua, exchange: &Rc<Exchange>, user: &Value) -> mlua::Result<()> {
        handle::identify(lua, exchange, Some(owner(user)?), None)?;
        if self.hide {
            exchange.request.borrow_mut().headers.remove("authorization");
        }
        Ok(())
    }
}

/// With users or a file of them: a function of `req` that does it all, and what they are told as in listings. Without:
/// `take`, which returns name and password, and `accept(req, user, name)`, which refuses where there is no user.
pub(super) fn make(
    lua: &Lua,
    (users, file, realm, hide): (Option<Table>, Option<String>, String, bool),
) -> mlua::Result<MultiValue> {
    let terms = Rc::new(Terms { challenge: format!("Basic realm=\"{realm}\", charset=\"UTF-8\""), hide });
    if users.is_none() && file.is_none() {
        return asked(lua, terms);
    }
    let mut known = Users::default();
    if let Some(users) = users {
        table(&users, &mut known)?;
    }
    if let Some(name) = file {
        let bytes = Session::of(lua, "basic_auth")?.files.read_anywhere(&name);
        let bytes = bytes.map_err(|fault| mlua::Error::runtime(format!("`file`: {fault}")))?;
        let wrong = |(line, fault)| mlua::Error::runtime(format!("`file`: {name}:{line}: {fault}"));
        known.add_file(&bytes).map_err(wrong)?;
    }
    let told = format!("{} users, {}", known.len(), known.print());
    let verified = Object::<Verified>::declare(lua, "basic_auth", None, &REMEMBERED)?;
    let check = wait::maybe(lua, "basic_auth", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let (name, password) = terms.take(&exchange)?;
        let user = Value::String(lua.create_string(&name)?);
        let (stored, there) = known.find(&name);
        let Some(stored) = stored else { return terms.invalid() };
        let decoy = known.decoy();
        let verified = Arc::clone(verified.get(lua)?);
        if decoy.is_none() || there && verified.knows(&name, &password, &stored) {
            let right = decoy.is_some() || stored.verify(&password);
            let done = if right && there { terms.accept(lua, &exchange, &user) } else { terms.invalid() };
            return Ok(Run::Done(done.map(|()| MultiValue::new())));
        }
        let (lua, terms) = (lua.clone(), Rc::clone(&terms));
        Ok(Run::Wait(Box::pin(async move {
            let work = Work { stored: Arc::clone(&stored), decoy, password };
            let (right, password) = work.done().await.map_err(fault::raise)?;
            if !(right && there) {
                return terms.invalid();
            }
            verified.note(&name, &password, &stored);
            terms.accept(&lua, &exchange, &user)?;
            Ok(MultiValue::new())
        })))
    })?;
    (check, told).into_lua_multi(lua)
}

fn asked(lua: &Lua, terms: Rc<Terms>) -> mlua::Result<MultiValue> {
    let taking = Rc::clone(&terms);
    let take = wait::strict(lua, "basic_auth", move |lua, req: Value| {
        let (name, password) = taking.take(&*exchange(lua, &req)?)?;
        Ok((name, lua.create_string(password)?))
    })?;
    let accept = wait::strict(lua, "basic_auth", move |lua, (req, user, name): (Value, Value, LuaString)| {
        let user = match user {
            Value::Nil | Value::Boolean(false) => return terms.invalid(),
            Value::Boolean(true) => Value::String(name),
            user => user,
        };
        terms.accept(lua, &exchange(lua, &req)?, &user)
    })?;
    (take, accept).into_lua_multi(lua)
}

fn table(written: &Table, users: &mut Users) -> mlua::Result<()> {
    let mut pairs = written.pairs::<String, Text>().collect::<mlua::Result<Vec<_>>>()?;
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, password) in pairs {
        let wrong = |fault| mlua::Error::runtime(format!("`users`: `{name}`: {fault}"));
        if name.contains(':') {
            return Err(mlua::Error::runtime(format!("`users`: `{name}` has a colon, which ends a name")));
        }
        users.add(&name, Stored::parse(&password.bytes()).map_err(wrong)?).map_err(wrong)?;
    }
    if users.is_empty() { Err(mlua::Error::runtime("`users` lists nobody")) } else { Ok(()) }
}

/// A password to be verified, slowly.
struct Work {
    stored: Arc<Stored>,
    decoy: Option<Arc<Stored>>,
    password: Vec<u8>,
}

impl Work {
    /// Whether it is the right one, and the password back. Half of the processors do such work at most, and only so many
    /// requests wait for their turn.
    async fn done(self) -> Result<(bool, Vec<u8>), Failure> {
        let busy = || Failure::new(Code::Overload, "too many passwords are being verified; try again");
        let waiting = Waiting::begin().ok_or_else(busy)?;
        let permit = SLOTS.acquire().await.map_err(|_| busy())?;
        drop(waiting);
        let verified = clock::aside(move || {
            let right = self.stored.verify(&self.password);
            // A plain password among hashed ones takes as long as they do.
            if let Some(decoy) = self.decoy.filter(|_| !self.stored.is_slow()) {
                std::hint::black_box(decoy.verify(&self.password));
            }
            drop(permit);
            (right, self.password)
        });
        verified.await.map_err(|error| busy().because(error.to_string()))
    }
}

static SLOTS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Semaphore::new((processors / 2).max(1))
});

static WAITERS: AtomicUsize = AtomicUsize::new(0);

/// One of those that wait for their turn.
struct Waiting;

impl Waiting {
    const MOST: usize = 256;

    fn begin() -> Option<Self> {
        let waiting = Self;
        (WAITERS.fetch_add(1, Ordering::Relaxed) < Self::MOST).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Verified credentials that one policy remembers.
const REMEMBERED: usize = 1024;

impl Kept for Verified {
    type Config = usize;

    fn make(most: usize) -> Self {
        // Without chance of the system's nothing may be remembered: the key must be nobody's guess.
        digest::random(32).map_or_else(|| Self::new(0, Vec::new()), |key| Self::new(most, key))
    }

    fn change(&self, _: usize) {}
}
