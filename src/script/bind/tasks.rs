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

use crate::script::bind::declared::Declared;
use crate::script::bind::declared::Task;
use crate::script::bind::declared::running;
use crate::script::bind::function;
use crate::script::bind::json;
use crate::script::bind::options::duration;
use crate::script::bind::spawn::report;
use crate::script::bind::spawn::spawn;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::live::Ears;
use crate::script::live::Event;
use crate::script::live::Live;
use crate::script::live::STORE;
use crate::store::Subscription;
use crate::telemetry::log;

/// `every`, `after`, `on`, `emit`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    words.set("every", function(lua, "every", every)?)?;
    words.set("after", function(lua, "after", after)?)?;
    words.set("on", function(lua, "on", on)?)?;
    words.set("emit", function(lua, "emit", emit)?)
}

fn every(lua: &Lua, (interval, work): (Value, Function)) -> mlua::Result<Flags> {
    if duration(&interval)? < SHORTEST {
        return Err(mlua::Error::runtime("every: an interval of at least 10ms expected"));
    }
    let task = Declared::task(lua, "every", interval.to_string()?, work)?;
    Ok(Flags { identity: task.identity.clone(), seen: RefCell::default() })
}

fn after(lua: &Lua, (delay, work): (Value, Function)) -> mlua::Result<()> {
    let time = duration(&delay)?;
    if Context::of(lua).loading() {
        return Declared::task(lua, "after", delay.to_string()?, work).map(drop);
    }
    spawn(lua, "after", Some(time), work)
}

fn on(lua: &Lua, (name, work): (String, Function)) -> mlua::Result<()> {
    named(&name)?;
    Declared::task(lua, "on", name, work).map(drop)
}

fn emit(lua: &Lua, (name, data): (String, Value)) -> mlua::Result<()> {
    named(&name)?;
    let context = running(lua, "`emit`")?;
    if context.live().bus().hears(&name) {
        let data = json::plain(&data).map_err(|fault| mlua::Error::runtime(format!("emit: {fault}")))?;
        context.live().bus().emit(Event { name, args: vec![data] });
    }
    Ok(())
}

fn named(name: &str) -> mlua::Result<()> {
    if name.is_empty() || name.len() > 128 {
        return Err(mlua::Error::runtime("the name of an event has 1 to 128 characters"));
    }
    Ok(())
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
pub(crate) fn start(lua: &Lua) -> mlua::Result<Tasks> {
    let context = Context::of(lua);
    let live = Arc::clone(context.live());
    let (stop, stopped) = watch::channel(());
    let (mut ears, mut subscriptions) = (Ears::new(), Vec::new());
    for task in Declared::of(lua).tasks() {
        let (lua, context) = (lua.clone(), Rc::clone(&context));
        match task.word {
            "every" => run(&stopped, &context, repeat(lua, Rc::clone(&context), task))?,
            "after" => run(&stopped, &context, once(lua, Rc::clone(&context), task))?,
            "on" => {
                let events = ears.listen(&task.argument);
                run(&stopped, &context, hear(lua, Rc::clone(&context), task, events))?;
            }
            _ => {
                let (subscription, events) = subscribe(&lua, &live, &task);
                subscriptions.push(subscription);
                run(&stopped, &context, hear(lua, Rc::clone(&context), task, events))?;
            }
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

/// At once, and then each time the interval is over; a run that takes longer is followed by the next at once.
async fn repeat(lua: Lua, context: Rc<Context>, task: Rc<Task>) {
    let interval = interval(&lua, &task);
    let mut due = context.clock().now();
    loop {
        let outcome = driver::drive(&context, None, &task.function, ()).get().await;
        publish(&context, &task, outcome);
        due = due.after(interval).max(context.clock().now());
        context.clock().sleep_until(due).await;
    }
}

/// What the function returned becomes the flag's value; without a value, or after a failure, the last one stays.
fn publish(context: &Context, task: &Task, outcome: Outcome) {
    let value = match outcome {
        Ok(mut values) => values.pop_front().unwrap_or(Value::Nil),
        Err(failure) => return report("every", &failure),
    };
    match json::plain(&value) {
        Ok(Some(value)) => context.live().flag(&task.identity).publish(Some(value)),
        Ok(None) => {}
        Err(fault) => {
            let place = format!("{}:{}", task.place.0, task.place.1);
            log::error("`every` returned what cannot be shared", &[("at", &place), ("cause", &fault)]);
        }
    }
}

async fn once(lua: Lua, context: Rc<Context>, task: Rc<Task>) {
    context.clock().sleep(interval(&lua, &task)).await;
    if let Err(failure) = driver::drive(&context, None, &task.function, ()).get().await {
        report("after", &failure);
    }
}

/// Calls the function for each event, one after the other.
async fn hear(lua: Lua, context: Rc<Context>, task: Rc<Task>, mut events: mpsc::Receiver<Arc<Event>>) {
    while let Some(event) = events.recv().await {
        let args = match arguments(&lua, &event) {
            Ok(args) => args,
            Err(error) => {
                log::error("an event could not be told", &[("name", &event.name), ("cause", &error)]);
                continue;
            }
        };
        if let Err(failure) = driver::drive(&context, None, &task.function, args).get().await {
            report(task.word, &failure);
        }
    }
}

fn arguments(lua: &Lua, event: &Event) -> mlua::Result<MultiValue> {
    let values = event.args.iter().map(|arg| arg.as_ref().map_or(Ok(Value::Nil), |arg| json::value(lua, arg)));
    values.collect::<mlua::Result<Vec<_>>>()?.into_iter().collect::<MultiValue>().into_lua_multi(lua)
}

fn subscribe(lua: &Lua, live: &Live, task: &Task) -> (Subscription, mpsc::Receiver<Arc<Event>>) {
    let (name, channel) = task.argument.split_once('\n').unwrap_or((&task.argument, ""));
    let identity = format!("{STORE}{name}");
    let store = live.store(&identity, Declared::of(lua).config(&identity).unwrap_or_default());
    let (sender, receiver) = mpsc::channel(QUEUE);
    let subscription = store.hub().subscribe(channel, move |channel, value| {
        let args = vec![Some(value.as_ref().clone())];
        // Who lags far behind misses messages; nobody who publishes waits.
        let _ = sender.try_send(Arc::new(Event { name: channel.to_owned(), args }));
    });
    (subscription, receiver)
}

/// The duration was checked when it was declared.
fn interval(lua: &Lua, task: &Task) -> Duration {
    let value = match task.argument.parse::<f64>() {
        Ok(seconds) => Ok(Value::Number(seconds)),
        Err(_) => lua.create_string(&task.argument).map(Value::String),
    };
    value.and_then(|value| duration(&value)).unwrap_or(Duration::from_secs(60))
}

const SHORTEST: Duration = Duration::from_millis(10);
/// Messages kept for one subscriber.
const QUEUE: usize = 1024;

#[cfg(test)]
mod tests;
