//! `every`, `after`, `on`, `emit`: functions that run once per gateway, in the control thread's machine.

use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::primitive::units;
use crate::script::bind::declared::Declared;
use crate::script::bind::declared::Subscriber;
use crate::script::bind::declared::running;
use crate::script::bind::declared::text;
use crate::script::bind::function;
use crate::script::bind::json;
use crate::script::bind::jwks;
use crate::script::bind::options::duration;
use crate::script::bind::spawn::report;
use crate::script::bind::spawn::spawn;
use crate::script::context::Context;
use crate::script::declare::discovery::HOSTS;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::live::Ears;
use crate::script::live::Event;
use crate::script::live::KeySet;
use crate::script::live::Live;
use crate::script::live::STORE;
use crate::script::pipeline::Timer;
use crate::store;
use crate::store::Subscription;
use crate::telemetry::log;

/// `emit`; the loader has `every`, `after` and `on`, which declare.
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    words.set("emit", function(lua, "emit", emit)?)
}

/// `after` inside a function: on this worker, that much later.
pub(crate) fn after(lua: &Lua, delay: &Value, work: Function) -> mlua::Result<()> {
    spawn(lua, "after", Some(duration(delay)?), work)
}

/// Tells `every("30s", …)` from others across reloads: the word, its argument, how many alike stand before it.
pub(crate) fn identity(word: &str, argument: &str, alike: usize) -> String {
    format!("{word} {argument} {alike}")
}

/// What `every` returns, by the identity of its timer.
pub(crate) fn flags(lua: &Lua, identity: &str) -> mlua::Result<Value> {
    let flags = Flags { identity: identity.to_owned(), seen: RefCell::default() };
    lua.create_userdata(flags).map(Value::UserData)
}

fn emit(lua: &Lua, (name, data): (String, Value)) -> mlua::Result<()> {
    if name.is_empty() || name.len() > 128 {
        return Err(mlua::Error::runtime("emit: the name of an event has 1 to 128 characters"));
    }
    let context = running(lua, "`emit`")?;
    if context.live().bus().hears(&name) {
        let data = json::plain(&data).map_err(|fault| mlua::Error::runtime(format!("emit: {fault}")))?;
        let data = data.map(|data| message("emit", data)).transpose()?;
        context.live().bus().emit(Event { name, args: vec![data] });
    }
    Ok(())
}

/// A message waits in a queue, so it is small.
pub(super) fn message(word: &str, value: store::Value) -> mlua::Result<store::Value> {
    let size = value.size();
    if size <= LARGEST_MESSAGE {
        return Ok(value);
    }
    Err(mlua::Error::runtime(format!("{word}: {size} bytes are more than a message of {LARGEST_MESSAGE} may have")))
}

/// What `every` returns: the last plain value of its function, seen by all workers.
struct Flags {
    identity: String,
    /// The value as this machine made it, and of which publication.
    seen: RefCell<Option<(u64, Value)>>,
}

impl UserData for Flags {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, flags, ()| flags.value(lua));
    }
}

impl Flags {
    /// The value; a table is frozen, since every request of this worker sees the same one.
    fn value(&self, lua: &Lua) -> mlua::Result<Value> {
        let context = running(lua, "what `every` returned")?;
        let flag = context.live().flag(&self.identity);
        let version = flag.version();
        if let Some((seen, value)) = &*self.seen.borrow()
            && *seen == version
        {
            return Ok(value.clone());
        }
        let value = flag.value().map_or(Ok(Value::Nil), |value| json::value(lua, &value))?;
        json::freeze(&value)?;
        *self.seen.borrow_mut() = Some((version, value.clone()));
        Ok(value)
    }
}

/// The running functions of one control machine; they stop when it is dropped.
pub(crate) struct Tasks {
    live: Arc<Live>,
    ears: Arc<Ears>,
    _subscriptions: Vec<Subscription>,
    _stop: watch::Sender<()>,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.live.bus().leave(&self.ears);
    }
}

/// Starts what the file of this machine declared, and tells it `start`, or `reload` when it is not the first.
pub(crate) fn start(lua: &Lua, timers: &[Timer]) -> mlua::Result<Tasks> {
    let context = Context::of(lua);
    let live = Arc::clone(context.live());
    let (stop, stopped) = watch::channel(());
    let (mut ears, mut subscriptions) = (Ears::new(), Vec::new());
    for (index, timer) in timers.iter().enumerate() {
        let task = Task::new(lua, &context, timer, &timers[..index]);
        match timer.word.as_str() {
            "every" | HOSTS => run(&stopped, &context, task.repeat())?,
            "after" => run(&stopped, &context, task.once())?,
            _ => run(&stopped, &context, task.hear(ears.listen(&timer.argument)))?,
        }
    }
    for subscriber in Declared::of(lua).subscribers() {
        let (subscription, messages) = subscribe(lua, &context, &subscriber);
        subscriptions.push(subscription);
        run(&stopped, &context, Task::hearing(lua, &context, &subscriber).hear(messages))?;
    }
    for source in Declared::of(lua).keys() {
        if let Some(set) = live.object::<KeySet>(&source.identity(), &text(&source)) {
            run(&stopped, &context, jwks::keep(Rc::clone(&context), set))?;
        }
    }
    let ears = live.bus().join(ears);
    let name = if live.started() == 0 { "start" } else { "reload" };
    live.bus().emit(Event { name: name.to_owned(), args: Vec::new() });
    Ok(Tasks { live, ears, _subscriptions: subscriptions, _stop: stop })
}

/// Spawns `work`, which ends with the machine's tasks.
fn run(stopped: &watch::Receiver<()>, context: &Context, work: impl Future<Output = ()> + 'static) -> mlua::Result<()> {
    let mut stopped = stopped.clone();
    context.worker()?.spawn(async move {
        let (mut work, mut stop) = (pin!(work), pin!(stopped.changed()));
        poll_fn(|cx| match stop.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => work.as_mut().poll(cx),
        })
        .await;
    });
    Ok(())
}

/// One function of the control machine, which it keeps alive.
struct Task {
    lua: Lua,
    context: Rc<Context>,
    word: String,
    argument: String,
    identity: String,
    function: Function,
}

impl Task {
    fn new(lua: &Lua, context: &Rc<Context>, timer: &Timer, before: &[Timer]) -> Self {
        let alike = before.iter().filter(|other| other.word == timer.word && other.argument == timer.argument);
        Self {
            lua: lua.clone(),
            context: Rc::clone(context),
            identity: identity(&timer.word, &timer.argument, alike.count()),
            word: timer.word.clone(),
            argument: timer.argument.clone(),
            function: timer.function.clone(),
        }
    }

    fn hearing(lua: &Lua, context: &Rc<Context>, subscriber: &Subscriber) -> Self {
        Self {
            lua: lua.clone(),
            context: Rc::clone(context),
            word: "subscribe".to_owned(),
            argument: subscriber.channel.clone(),
            identity: String::new(),
            function: subscriber.function.clone(),
        }
    }

    /// At once, and then each time the interval is over; a run that takes longer is followed by the next at once.
    async fn repeat(self) {
        let clock = self.context.clock();
        let mut due = clock.now();
        loop {
            let outcome = driver::drive(&self.context, None, &self.function, ()).get().await;
            self.publish(outcome);
            due = due.after(self.wait()).max(clock.now());
            clock.sleep_until(due).await;
        }
    }

    /// What the function returned becomes the flag's value; without a value, or after a failure, the last one stays.
    fn publish(&self, outcome: Outcome) {
        let value = match outcome {
            Ok(mut values) => values.pop_front().unwrap_or(Value::Nil),
            Err(failure) => return report(&self.context, &self.word, &failure),
        };
        match json::plain(&value) {
            Ok(Some(value)) => self.context.live().flag(&self.identity).publish(Some(value)),
            Ok(None) => {}
            Err(fault) => {
                let said = format!("`{}` returned what cannot be shared", self.word);
                log::error(&said, &[("interval", &self.argument), ("cause", &fault)]);
            }
        }
    }

    async fn once(self) {
        self.context.clock().sleep(self.wait()).await;
        if let Err(failure) = driver::drive(&self.context, None, &self.function, ()).get().await {
            report(&self.context, &self.word, &failure);
        }
    }

    /// Calls the function for each event, one after the other.
    async fn hear(self, mut events: mpsc::Receiver<Arc<Event>>) {
        while let Some(event) = events.recv().await {
            let args = match arguments(&self.lua, &event) {
                Ok(args) => args,
                Err(error) => {
                    log::error("an event could not be told", &[("name", &event.name), ("cause", &error)]);
                    continue;
                }
            };
            if let Err(failure) = driver::drive(&self.context, None, &self.function, args).get().await {
                report(&self.context, &self.word, &failure);
            }
        }
    }

    /// The loader notes seconds, after the upstream's name where it is about one.
    fn wait(&self) -> Duration {
        let seconds = self.argument.rsplit(' ').next().unwrap_or_default();
        seconds.parse().ok().and_then(|seconds| units::seconds(seconds).ok()).unwrap_or(Duration::from_secs(60))
    }
}

fn arguments(lua: &Lua, event: &Event) -> mlua::Result<MultiValue> {
    let values = event.args.iter().map(|arg| arg.as_ref().map_or(Ok(Value::Nil), |arg| json::value(lua, arg)));
    values.collect::<mlua::Result<Vec<_>>>()?.into_iter().collect::<MultiValue>().into_lua_multi(lua)
}

fn subscribe(lua: &Lua, context: &Context, subscriber: &Subscriber) -> (Subscription, mpsc::Receiver<Arc<Event>>) {
    let identity = format!("{STORE}{}", subscriber.store);
    let config = Declared::of(lua).config(&identity).unwrap_or_default();
    let store = context.live().store(&identity, &config, context.clock());
    let (sender, receiver) = mpsc::channel(QUEUE);
    let subscription = store.subscribe(&subscriber.channel, move |channel, value| {
        let args = vec![Some(value.as_ref().clone())];
        // Who lags far behind misses messages; nobody who publishes waits.
        let _ = sender.try_send(Arc::new(Event { name: channel.to_owned(), args }));
    });
    (subscription, receiver)
}

const LARGEST_MESSAGE: usize = 64 << 10;
/// Messages kept for one subscriber.
const QUEUE: usize = 1024;

#[cfg(test)]
mod tests;
